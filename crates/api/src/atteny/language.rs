//! Messages in the caller's language: Portuguese unless `Accept-Language` prefers English.
//!
//! The product's sentences are English; what can be wrong on this surface is said again here, by code. What a field's limits
//! are is taken over from the English sentence, whose forms are few.

use tieline_core::error::{Error, FieldError};

/// Languages that one header may list; what comes after is not looked at.
const LISTED: usize = 20;

/// A language of error messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// Brazil's.
    #[default]
    Portuguese,
    /// English.
    English,
}

impl Language {
    /// What an `Accept-Language` prefers of the two; the first of equals.
    pub fn of(accepted: Option<&str>) -> Language {
        let mut best = (Language::default(), 0.0);
        for item in accepted.unwrap_or("").split(',').take(LISTED) {
            let (tag, rest) = item.split_once(';').unwrap_or((item, ""));
            let quality = rest.trim().strip_prefix("q=").map_or(Some(1.0), |q| q.trim().parse::<f32>().ok());
            let language = match tag.trim().split('-').next().unwrap_or("").to_ascii_lowercase().as_str() {
                "en" => Language::English,
                "pt" => Language::Portuguese,
                _ => continue,
            };
            if quality.is_some_and(|quality| quality > best.1) {
                best = (language, quality.unwrap_or_default());
            }
        }
        best.0
    }

    /// The sentence of an error.
    pub fn sentence(self, error: &Error) -> String {
        let scope = error.extra("requiredScope").map(ToString::to_string);
        let scope = scope.as_deref().map(super::me::word);
        match (self, error.code, scope) {
            (Language::English, "insufficient_scope", Some(scope)) => {
                format!("This key lacks the scope {scope}; give it that scope, or use another key.")
            }
            (Language::Portuguese, "insufficient_scope", Some(scope)) => {
                format!("Esta chave não tem o escopo {scope}; inclua o escopo ou use outra chave.")
            }
            (Language::English, ..) => error.detail.clone().into_owned(),
            (Language::Portuguese, ..) => match error.fields.as_slice() {
                [] => portuguese(error.code).map_or_else(|| error.detail.clone().into_owned(), str::to_owned),
                [one] => self.field(one),
                many => format!("{} campos são inválidos.", many.len()),
            },
        }
    }

    /// The sentence of a wrong field.
    pub fn field(self, error: &FieldError) -> String {
        match self {
            Language::English => error.message.clone(),
            Language::Portuguese => {
                let name = error.pointer.trim_start_matches('/').replace('/', ".");
                let name = if name.is_empty() { "O corpo da requisição" } else { &name };
                format!("{name} {}.", predicate(error))
            }
        }
    }
}

/// What of a field's English sentence names its limits, in Portuguese.
const LIMITS: [(&str, &str); 6] = [
    ("must be one of ", "deve ser um de "),
    ("must have at most ", "deve ter no máximo "),
    ("must have at least ", "deve ter no mínimo "),
    ("may have at most ", "pode ter no máximo "),
    ("must be at least ", "deve ser no mínimo "),
    ("must be at most ", "deve ser no máximo "),
];
const UNITS: [(&str, &str); 4] =
    [(" and at most ", " e no máximo "), (" characters", " caracteres"), (" items", " itens"), (" members", " campos")];

fn predicate(error: &FieldError) -> String {
    for (english, portuguese) in LIMITS {
        if let Some((_, limit)) = error.message.split_once(english) {
            let limit =
                UNITS.iter().fold(limit.trim_end_matches('.').to_owned(), |text, (from, to)| text.replace(from, to));
            return format!("{portuguese}{limit}");
        }
    }
    match error.code {
        "required" => "é obrigatório",
        "invalid_type" => "tem o tipo errado",
        "out_of_range" => {
            "está fora do intervalo permitido; uma página fica a até 100.000 registros de um dos extremos da lista"
        }
        "too_short" => "não pode ser vazio",
        "too_long" => "é longo demais",
        "too_many" => "tem itens demais",
        "too_deep" => "tem níveis demais",
        "invalid_email" => "não é um endereço de e-mail",
        "invalid_phone" => "não é um número de telefone",
        "invalid_format" => "não está no formato esperado",
        "invalid_cursor" => "não é desta lista; recomece sem ele",
        "not_allowed" => "não se aplica aqui",
        "not_found" | "unknown_id" => "indica algo que não existe",
        "unknown_option" => "não é uma das opções",
        "invalid_url" | "url_too_long" => "não é um endereço https completo",
        "scheme_not_allowed" => "deve ser um endereço https",
        "url_has_credentials" => "não pode conter usuário nem senha",
        "address_not_allowed" => "leva a um endereço que não pode ser chamado",
        _ => "não é um valor aceito",
    }
    .to_owned()
}

/// What a code means, for whoever reads Portuguese.
fn portuguese(code: &str) -> Option<&'static str> {
    Some(match code {
        "validation_error" => "A requisição não é válida.",
        "invalid_json" => "O corpo da requisição não é JSON em UTF-8.",
        "invalid_cursor" => "O cursor não é desta lista; recomece sem ele.",
        "incomplete_body" => "O corpo da requisição terminou antes do fim declarado.",
        "unauthorized" => "Envie sua chave no cabeçalho `Authorization: Bearer <chave>`.",
        "invalid_api_key" => "Esta chave não existe, ou foi revogada ou desativada; confira, ou crie outra.",
        "quota_exceeded" => "A cota de requisições do mês foi usada; `X-Api-Quota-Reset` diz quando recomeça.",
        "daily_quota_exceeded" => "A cota de requisições do dia foi usada; recomeça às 00:00 UTC.",
        "api_disabled" => "O plano desta organização não inclui a API.",
        "insufficient_scope" => "Esta chave não tem o escopo necessário.",
        "webhooks_disabled" => "O plano desta organização não inclui webhooks.",
        "not_found" => "Não existe, ou é de outra organização.",
        "method_not_allowed" => "Este caminho não aceita este método; `Allow` lista os que aceita.",
        "request_timeout" => "O corpo da requisição demorou demais para chegar.",
        "contact_exists" => "Já existe um contato com este número, e-mail ou externalId.",
        "conversation_archived" => "A conversa está arquivada e não recebe mensagens.",
        "merge_chain_too_long" => "A conversa foi mesclada vezes demais; use a que guarda as mensagens.",
        "delivery_pending" => "Esta entrega não terminou: será tentada de novo sozinha.",
        "payload_too_large" => "O corpo da requisição é grande demais.",
        "unsupported_media_type" => "Envie o corpo como `application/json`, sem compressão.",
        "idempotency_key_reused" => "Esta Idempotency-Key já foi usada com outro corpo; use outra.",
        "rate_limited" => "Muitas requisições neste minuto; aguarde o tempo de `Retry-After`.",
        "webhook_limit_reached" => "A organização já tem todos os webhooks do plano; apague um.",
        "internal_error" => "Algo deu errado do nosso lado.",
        "unavailable" => "O servidor não pode gravar agora; tente de novo em instantes.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_language_is_the_one_it_prefers() {
        for (header, language) in [
            (None, Language::Portuguese),
            (Some(""), Language::Portuguese),
            (Some("*"), Language::Portuguese),
            (Some("de, fr;q=0.5"), Language::Portuguese),
            (Some("en"), Language::English),
            (Some("en-US,en;q=0.9,pt;q=0.8"), Language::English),
            (Some("pt-BR,pt;q=0.9,en;q=0.8"), Language::Portuguese),
            (Some("pt;q=0.1, EN-gb;q=0.2"), Language::English),
            (Some("en;q=0"), Language::Portuguese),
            (Some("en;q=x"), Language::Portuguese),
            (Some("de,en;q=0.3"), Language::English),
        ] {
            assert_eq!(Language::of(header), language, "{header:?}");
        }
    }

    #[test]
    fn the_sentences_of_fields_are_translated_with_their_limits() {
        for (message, code, expected) in [
            (
                "limit must be at least 1 and at most 100.",
                "out_of_range",
                "limit deve ser no mínimo 1 e no máximo 100.",
            ),
            ("limit must be one of a, b.", "invalid_value", "limit deve ser um de a, b."),
            ("limit must have at most 64 characters.", "too_long", "limit deve ter no máximo 64 caracteres."),
            ("limit is required.", "required", "limit é obrigatório."),
            ("limit is strange.", "no_such_code", "limit não é um valor aceito."),
        ] {
            let error = FieldError { pointer: "/limit".into(), code, message: message.into() };
            assert_eq!(Language::Portuguese.field(&error), expected);
            assert_eq!(Language::English.field(&error), message);
        }
    }
}
