//! `tieline demo`: a whole installation that is thrown away afterwards, with something to see in it.
//!
//! It goes through the front door: samples, key and webhook are made by the calls that an integrator would make, so what it
//! shows is what the product does.

use super::{print, text};
use crate::admin::{self, Desk, Request, Tell, TenantFields};
use crate::server::{self, Start};
use crate::{config, receiver};
use anyhow::{Context, bail};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};
use tieline_delivery::sign::{PreparedSecret, Received, verify};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// The port tried first, and how many after it.
const PORTS: std::ops::Range<u16> = 8080..8180;

/// A sample: reference, channel, name, address, subject, message, and the agent's answer if there is one.
type Sample =
    (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str, Option<&'static str>);

const SAMPLES: &[Sample] = &[
    (
        "pedido-1001",
        "email",
        "Ana Souza",
        "ana.souza@example.com",
        "Meu pedido não chegou",
        "Olá! Comprei há dez dias e o rastreio está parado em Curitiba. Podem verificar?",
        Some("Oi, Ana! Falei com a transportadora: ele sai para entrega amanhã cedo."),
    ),
    (
        "order-1002",
        "email",
        "James Miller",
        "james.miller@example.com",
        "Wrong size",
        "I ordered a 42 and received a 40. How do I exchange it?",
        Some("Sorry about that, James. The return label is in your inbox; the 42 ships today."),
    ),
    (
        "pedido-1003",
        "whatsapp",
        "Carlos Lima",
        "carlos.lima@example.com",
        "Nota fiscal",
        "Preciso da nota fiscal do pedido 1003 com o CNPJ da empresa.",
        None,
    ),
    (
        "order-1004",
        "amazon",
        "Mia Fischer",
        "mia.fischer@example.com",
        "Is this compatible?",
        "Does the charger work with 110 V and 220 V?",
        None,
    ),
    (
        "pedido-1005",
        "email",
        "Beatriz Rocha",
        "beatriz.rocha@example.com",
        "Cancelamento",
        "Comprei duas vezes sem querer. Dá para cancelar um dos pedidos?",
        Some("Claro, Beatriz! Cancelei o segundo; o estorno aparece em até dois dias úteis."),
    ),
    (
        "order-1006",
        "webchat",
        "Liam O'Brien",
        "liam.obrien@example.com",
        "Password reset",
        "The reset link says it has expired, although I just got it.",
        None,
    ),
    (
        "pedido-1007",
        "whatsapp",
        "Rafael Alves",
        "rafael.alves@example.com",
        "Troca de endereço",
        "Mudei de apartamento ontem. Consigo trocar o endereço de entrega?",
        None,
    ),
    (
        "order-1008",
        "email",
        "Sofia Rossi",
        "sofia.rossi@example.com",
        "Discount code",
        "SPRING10 is refused at the checkout. Is it still valid?",
        None,
    ),
    (
        "pedido-1009",
        "amazon",
        "Juliana Costa",
        "juliana.costa@example.com",
        "Produto com defeito",
        "A cafeteira liga, mas não esquenta. O que eu faço?",
        None,
    ),
    (
        "order-1010",
        "email",
        "Noah Smith",
        "noah.smith@example.com",
        "Invoice for our accountant",
        "Could you send last month's invoices as one PDF?",
        None,
    ),
    (
        "pedido-1011",
        "webchat",
        "Pedro Nunes",
        "pedro.nunes@example.com",
        "Prazo para Manaus",
        "Qual é o prazo de entrega para Manaus? O CEP é 69005-070.",
        None,
    ),
    (
        "order-1012",
        "email",
        "Emma Johansson",
        "emma.johansson@example.com",
        "Thank you!",
        "It arrived a day early and works perfectly. Thanks!",
        None,
    ),
];

/// Runs the demo until a signal ends it.
pub async fn run() -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let folder = tempfile::Builder::new().prefix("tieline-demo-").tempdir()?;
    let (listen, note) = choose_port().await?;
    let variable = |name: &str, or: &str| std::env::var(name).unwrap_or_else(|_| or.to_owned());
    let settings = config::load(
        None,
        [
            ("TIELINE_LISTEN", listen.to_string()),
            ("TIELINE_DATA_DIR", folder.path().display().to_string()),
            ("TIELINE_DATABASE_URL", String::new()),
            ("TIELINE_PUBLIC_URL", String::new()),
            ("TIELINE_SECRET_KEY", String::new()),
            ("TIELINE_LOG", variable("TIELINE_LOG", "warn")),
            // The receiver is on this machine and has no certificate. Nowhere else is this allowed by default.
            ("TIELINE_WEBHOOK_ALLOW_HOSTS", "127.0.0.1/32".to_owned()),
            ("TIELINE_WEBHOOK_ALLOW_HTTP", "true".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    )?;
    crate::start_log(&settings);
    let running = server::start(settings, Start::default()).await?;
    let desk = Desk { hub: running.hub.clone(), pause: None, listens: None };
    let way = admin::way();
    let ask = async |request| {
        desk.run(&way, request, &Tell::nobody()).await.map_err(|error| anyhow::anyhow!(crate::admin::line(&error)))
    };
    ask(Request::CreateTenant(TenantFields::demo())).await?;
    let scopes = "full_access".to_owned();
    let (tenant, name, mode, prefix) = ("demo".to_owned(), "demo".to_owned(), "live".to_owned(), "sa".to_owned());
    let key = text(&ask(Request::CreateKey { tenant, name, scopes, mode, prefix }).await?, "key");
    let client = Client {
        http: reqwest::Client::builder().no_proxy().build()?,
        server: format!("http://{}", running.addr),
        key,
    };

    // Samples first: what arrives at the receiver later is what the visitor did.
    let samples = samples(&client).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let receiver = format!("http://{}", listener.local_addr()?);
    let secret = Arc::new(OnceLock::new());
    let (known, server, key) = (secret.clone(), client.server.clone(), client.key.clone());
    let receiving = tokio::spawn(receiver::serve(listener, move |headers, body| {
        arrived(headers, &body, known.get(), &server, &key)
    }));
    let webhook = json!({"name": "Demo receiver", "url": format!("{receiver}/hooks"), "events": ["*"]});
    let webhook = client.post("/v1/webhooks", &webhook).await?;
    let _ = secret.set(PreparedSecret::new(&text(&webhook, "secret")));

    print(&welcome(&client, &receiver, &samples, note.as_deref()))?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    print("\nStopping; nothing is kept.")?;
    tokio::select! {
        ended = running.shut_down() => ended?,
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    receiving.abort();
    Ok(folder.close()?)
}

/// `TIELINE_LISTEN`, else the first free port from 8080 on, with a word about it when it is another.
async fn choose_port() -> anyhow::Result<(SocketAddr, Option<String>)> {
    if let Ok(listen) = std::env::var("TIELINE_LISTEN") {
        return Ok((listen.parse().context("TIELINE_LISTEN must be an address and a port")?, None));
    }
    for port in PORTS {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).await.is_ok() {
            let note = (port != PORTS.start).then(|| format!("Port {} is taken; this uses {port}.", PORTS.start));
            return Ok((address, note));
        }
    }
    bail!("the ports {} to {} are all taken: set TIELINE_LISTEN", PORTS.start, PORTS.end - 1)
}

/// A caller of our own API.
struct Client {
    http: reqwest::Client,
    server: String,
    key: String,
}

impl Client {
    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.http.post(format!("{}{path}", self.server)).bearer_auth(&self.key).json(body);
        let response = request.send().await.with_context(|| format!("POST {path}"))?;
        let (status, answer) = (response.status(), response.text().await?);
        if !status.is_success() {
            bail!("POST {path} answered {status}: {answer}");
        }
        Ok(serde_json::from_str(&answer)?)
    }
}

/// Opens the sample conversations; the id of the first that nobody has answered.
async fn samples(client: &Client) -> anyhow::Result<String> {
    let mut unanswered = None;
    for (reference, channel, name, email, subject, message, answer) in SAMPLES {
        let body = json!({
            "externalReference": reference,
            "contact": {"email": email, "name": name},
            "subject": subject,
            "channel": channel,
            "outboundContext": {"originalMessage": message},
        });
        let id = text(&client.post("/v1/conversations/outbound", &body).await?, "id");
        match answer {
            Some(answer) => {
                let reply =
                    json!({"direction": "outbound", "text": answer, "author": {"type": "agent", "name": "Marina"}});
                client.post(&format!("/v1/conversations/{id}/messages"), &reply).await?;
            }
            None => unanswered = unanswered.or(Some(id)),
        }
    }
    unanswered.context("no sample is unanswered")
}

/// What is printed when everything runs. The calls are complete: they work when pasted.
fn welcome(client: &Client, receiver: &str, unanswered: &str, note: Option<&str>) -> String {
    let Client { server, key, .. } = client;
    let auth = format!("-H 'Authorization: Bearer {key}'");
    let json = "-H 'Content-Type: application/json'";
    let open = json!({
        "externalReference": "order-4711",
        "contact": {"email": "ana@example.com", "name": "Ana"},
        "subject": "Where is my parcel?",
        "outboundContext": {"originalMessage": "Hello, where is it?"},
    });
    let note = note.map(|note| format!("{note}\n")).unwrap_or_default();
    format!(
        "Tieline runs, with {} sample conversations. Nothing is kept: Ctrl-C ends it.\n{note}\n\
         server    {server}\n\
         reference {server}/docs\n\
         key       {key}\n\
         receiver  {receiver}  (checks and prints what arrives)\n\n\
         Three calls to try, in another terminal.\n\n\
         1. Open a conversation, as your own system would:\n\n\
         curl -sS {server}/v1/conversations/outbound \\\n  {auth} \\\n  {json} \\\n  -d '{open}'\n\n\
         2. Answer a conversation, as an agent would:\n\n\
         curl -sS {server}/v1/conversations/{unanswered}/messages \\\n  {auth} \\\n  {json} \\\n  \
         -d '{{\"direction\":\"outbound\",\"text\":\"Thank you for asking. It is on its way.\"}}'\n\n\
         3. List the conversations:\n\n\
         curl -sS '{server}/v1/conversations?limit=5' \\\n  {auth}\n\n\
         What arrives at the receiver:\n",
        SAMPLES.len()
    )
}

/// Checks a delivery and prints it.
fn arrived(headers: &HeaderMap, body: &Bytes, secret: Option<&PreparedSecret>, server: &str, key: &str) -> StatusCode {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    let received = Received {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
        body,
    };
    let Some(secret) = secret else { return StatusCode::SERVICE_UNAVAILABLE };
    let genuine = verify(std::slice::from_ref(secret), &received, now);
    let event: Value = serde_json::from_slice(body).unwrap_or_default();
    let _ = print(&lines(&event, genuine.as_ref().err().map(ToString::to_string), server, key));
    if genuine.is_ok() { StatusCode::NO_CONTENT } else { StatusCode::UNAUTHORIZED }
}

/// Two lines about an event; a third on how to answer, where a customer wrote.
fn lines(event: &Value, refused: Option<String>, server: &str, key: &str) -> String {
    let data = &event["data"];
    let conversation = &data["conversation"];
    let what = match (&data["message"]["text"], &conversation["subject"], &data["contact"]["name"]) {
        (Value::String(said), ..) => format!("{said:?}"),
        (_, Value::String(subject), _) => subject.clone(),
        (_, _, Value::String(name)) => name.clone(),
        _ => String::new(),
    };
    let signature = refused.map_or("signature holds".to_owned(), |why| format!("REFUSED: {why}"));
    let reference = conversation["externalReference"].as_str().map(|text| format!(", {text}")).unwrap_or_default();
    let mut lines = format!("→ {}  {what}\n  {signature}, {}{reference}", text(event, "event"), text(event, "id"));
    if event["event"] == "message.received" {
        lines += &format!(
            "\n  answer it: curl -sS {server}/v1/conversations/{}/messages -H 'Authorization: Bearer {key}' \
             -H 'Content-Type: application/json' -d '{{\"direction\":\"outbound\",\"text\":\"Hello!\"}}'",
            text(conversation, "id")
        );
    }
    lines
}
