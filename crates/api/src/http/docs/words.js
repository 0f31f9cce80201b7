"use strict";
// Words of the pages themselves, by the browser's language. Texts of the API's own description stay as they are.
const WORDS = {
  en: {
    skip: "Skip to the content", search: "Search operations", document: "API", pages: "Pages", reference: "Reference", errors: "Errors",
    operations: "Operations", loading: "Loading…", failed: "The OpenAPI document could not be loaded.", apiReference: "API reference",
    auth: "Authentication", parameters: "Parameters", body: "Request body", responses: "Responses", sample: "Example", answer: "Answer",
    copy: "Copy", copied: "Copied", required: "required", deprecated: "deprecated", nullable: "or null", anyOf: "one of",
    items: "Show the items", members: "Show the members", values: "One of", default: "Default", length: "Length", range: "Range",
    itemCount: "Items", pattern: "Pattern", in_path: "in the path", in_query: "in the query", in_header: "header", in_cookie: "cookie",
    noBody: "Without a body", found: (n) => n === 1 ? "1 operation found" : `${n} operations found`, other: "Other", any: "any", map: "map of",
    array: "array of", readOnly: "read only", writeOnly: "write only", anchor: "Link to this operation", public: "Needs no credentials",
    scope: "Scope", or: "or",
    errorCodes: "Error codes", fieldCodes: "Field codes", code: "Code", status: "Status", meaning: "What it means, what to do",
    errorsLead: "Every failure is a problem document (RFC 9457): go by code, show detail to people, and quote requestId when you ask for support.",
    fieldLead: "With validation_error, errors[] names every wrong field at once, each with one of these codes.",
  },
  pt: {
    skip: "Ir para o conteúdo", search: "Buscar operações", document: "API", pages: "Páginas", reference: "Referência", errors: "Erros",
    operations: "Operações", loading: "Carregando…", failed: "Não foi possível carregar o documento OpenAPI.", apiReference: "Referência da API",
    auth: "Autenticação", parameters: "Parâmetros", body: "Corpo da requisição", responses: "Respostas", sample: "Exemplo", answer: "Resposta",
    copy: "Copiar", copied: "Copiado", required: "obrigatório", deprecated: "obsoleto", nullable: "ou null", anyOf: "um de",
    items: "Mostrar os itens", members: "Mostrar os campos", values: "Um de", default: "Padrão", length: "Tamanho", range: "Faixa",
    itemCount: "Itens", pattern: "Formato", in_path: "no caminho", in_query: "na query", in_header: "cabeçalho", in_cookie: "cookie",
    noBody: "Sem corpo", found: (n) => n === 1 ? "1 operação encontrada" : `${n} operações encontradas`, other: "Outras", any: "qualquer", map: "mapa de",
    array: "lista de", readOnly: "somente leitura", writeOnly: "somente escrita", anchor: "Link para esta operação", public: "Não exige credencial",
    scope: "Escopo", or: "ou",
    errorCodes: "Códigos de erro", fieldCodes: "Códigos de campo", code: "Código", status: "Status", meaning: "O que significa, o que fazer",
    errorsLead: "Toda falha é um problem document (RFC 9457): decida pelo code, mostre detail às pessoas e informe requestId ao pedir suporte.",
    fieldLead: "Com validation_error, errors[] traz todos os campos errados de uma vez, cada um com um destes códigos.",
  },
};
const portuguese = (navigator.languages || [navigator.language]).map((l) => l.slice(0, 2).toLowerCase()).find((l) => WORDS[l]) === "pt";
const W = portuguese ? WORDS.pt : WORDS.en;
document.documentElement.lang = portuguese ? "pt-BR" : "en";
for (const node of document.querySelectorAll("[data-word]")) node.textContent = W[node.dataset.word];
for (const node of document.querySelectorAll("[data-placeholder]")) node.placeholder = W[node.dataset.placeholder];
for (const node of document.querySelectorAll("[data-label]")) node.setAttribute("aria-label", W[node.dataset.label]);
