//! `/cable` with a real WebSocket client: customers and agents hear what is theirs, and nothing else.

#[path = "support/app.rs"]
mod app;
#[path = "support/bridge.rs"]
mod bridge;

use app::App;
use bridge::{Bridge, user};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::Duration;
use tieline_api::chatwoot::{CONNECTIONS_PER_ADDRESS, SUBSCRIPTIONS_PER_PERSON};
use tieline_api::http::server::{self, Ended, Limits};
use tieline_core::users::Role;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// Longer than anything here takes; a test that reaches it fails.
const LATE: Duration = Duration::from_secs(30);

fn id(value: &Value) -> i64 {
    value["id"].as_i64().unwrap_or_else(|| panic!("no id: {value}"))
}

/// The application on a port.
struct Server {
    address: std::net::SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<Ended>,
}

impl Server {
    async fn of(app: &App) -> Server {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let router = app.router();
        let stopped = async move { drop(stopped.await) };
        let serving = tokio::spawn(server::serve(listener, router, Limits::default(), stopped));
        Server { address, stop: Some(stop), serving }
    }

    async fn client(&self) -> Client {
        self.try_client().await.expect("upgrades")
    }

    /// A connection; the status of the answer where it is refused.
    async fn try_client(&self) -> Result<Client, u16> {
        let mut request = format!("ws://{}/cable", self.address).into_client_request().expect("a request");
        let protocol = "actioncable-v1-json, actioncable-unsupported".parse().expect("a value");
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        let stream = TcpStream::connect(self.address).await.expect("connects");
        let (socket, answer) = match tokio_tungstenite::client_async(request, stream).await {
            Ok(opened) => opened,
            Err(tokio_tungstenite::tungstenite::Error::Http(refused)) => return Err(refused.status().as_u16()),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(answer.headers()["sec-websocket-protocol"], "actioncable-v1-json");
        let mut client = Client { socket, early: VecDeque::new() };
        assert_eq!(client.frame().await, Some(json!({"type": "welcome"})));
        Ok(client)
    }
}

struct Client {
    socket: WebSocketStream<TcpStream>,
    /// Read while something else was waited for.
    early: VecDeque<Value>,
}

impl Client {
    /// The next frame; none at the end.
    async fn frame(&mut self) -> Option<Value> {
        loop {
            return match tokio::time::timeout(LATE, self.socket.next()).await.expect("in time") {
                Some(Ok(Message::Text(text))) => Some(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Close(_)) | Err(_)) | None => None,
                Some(Ok(_)) => continue,
            };
        }
    }
    /// The next frame that is no ping.
    async fn told(&mut self) -> Value {
        loop {
            let frame = self.frame().await.expect("not closed");
            if frame["type"] != "ping" {
                return frame;
            }
        }
    }
    async fn send(&mut self, frame: Value) {
        self.socket.send(Message::Text(frame.to_string().into())).await.expect("sends");
    }
    /// Subscribes; whether that was confirmed.
    async fn subscribe(&mut self, identifier: &Value) -> bool {
        self.send(json!({"command": "subscribe", "identifier": identifier.to_string()})).await;
        let answer = self.told().await;
        assert_eq!(answer["identifier"], identifier.to_string());
        match answer["type"].as_str() {
            Some("confirm_subscription") => {
                assert_eq!(self.event().await.0, "presence.update");
                true
            }
            Some("reject_subscription") => false,
            other => panic!("{other:?}"),
        }
    }
    /// The next event and its data.
    async fn event(&mut self) -> (String, Value) {
        let mut frame = match self.early.pop_front() {
            Some(frame) => frame,
            None => self.told().await,
        };
        let message = frame["message"].take();
        (message["event"].as_str().unwrap_or_else(|| panic!("no event: {frame}")).to_owned(), message["data"].clone())
    }
    /// The data of the next event of this name; whatever else comes before it is passed over.
    async fn expect(&mut self, name: &str) -> Value {
        loop {
            let (event, data) = self.event().await;
            if event == name {
                return data;
            }
        }
    }
    /// Names of events up to and including this one.
    async fn names_until(&mut self, last: &str) -> Vec<String> {
        let mut names = Vec::new();
        while names.last().is_none_or(|name| name != last) {
            names.push(self.event().await.0);
        }
        names
    }
}

/// An inbox with contacts `ana` and `bob`, and what each subscribes with.
struct Shop {
    inbox: Value,
    door: String,
}

impl Shop {
    async fn new(bridge: &Bridge<'_>, name: &str) -> Shop {
        let inbox = bridge.post("/inboxes", json!({"name": name, "channel": {"type": "api"}})).await;
        let door = inbox["inbox_identifier"].as_str().expect("an identifier").to_owned();
        Shop { inbox, door }
    }
    async fn contact(&self, bridge: &Bridge<'_>, source: &str) -> Value {
        let made = bridge.public("POST", &format!("{}/contacts", self.door), Some(json!({"source_id": source}))).await;
        json!({"channel": "RoomChannel", "pubsub_token": made.expect(200)["pubsub_token"]})
    }
    async fn open(&self, bridge: &Bridge<'_>, source: &str) -> i64 {
        let path = format!("{}/contacts/{source}/conversations", self.door);
        id(&bridge.public("POST", &path, None).await.expect(200))
    }
    async fn say(&self, bridge: &Bridge<'_>, source: &str, conversation: i64, text: &str) {
        let path = format!("{}/contacts/{source}/conversations/{conversation}/messages", self.door);
        bridge.public("POST", &path, Some(json!({"content": text}))).await.expect(200);
    }
}

async fn identifier(app: &App, token: &str, number: i64) -> Value {
    let request = axum::http::Request::get("/api/v1/profile").header("api_access_token", token);
    let profile = app.send(request.body(axum::body::Body::empty()).expect("a request")).await.expect(200);
    json!({"channel": "RoomChannel", "pubsub_token": profile["pubsub_token"], "user_id": number, "account_id": 1})
}

#[tokio::test]
async fn customers_hear_their_own_conversations() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let shop = Shop::new(&bridge, "Shop").await;
    let (ana, bob) = (shop.contact(&bridge, "ana").await, shop.contact(&bridge, "bob").await);
    let server = Server::of(&app).await;
    let (mut of_ana, mut of_bob) = (server.client().await, server.client().await);
    assert!(of_ana.subscribe(&ana).await && of_bob.subscribe(&bob).await);

    let conversation = shop.open(&bridge, "ana").await;
    let (event, data) = of_ana.event().await;
    assert_eq!((event.as_str(), &data["id"]), ("conversation.created", &json!(conversation)));
    let path = format!("/conversations/{conversation}");
    bridge.post(&format!("{path}/messages"), json!({"content": "a secret", "private": true})).await;
    let sent = bridge.post(&format!("{path}/messages"), json!({"content": "hello Ana"})).await;
    let data = of_ana.expect("message.created").await;
    assert_eq!(
        (&data["id"], &data["content"], &data["message_type"], &data["account_id"], &data["sender"]["type"]),
        (&sent["id"], &json!("hello Ana"), &json!(1), &json!(1), &json!("user"))
    );
    bridge.post(&format!("{path}/toggle_typing_status"), json!({"typing_status": "on"})).await;
    let data = of_ana.expect("conversation.typing_on").await;
    assert_eq!((&data["conversation"]["id"], &data["user"]["name"]), (&json!(conversation), &json!("Bea")));
    bridge.post(&format!("{path}/toggle_status"), json!({"status": "resolved"})).await;
    let data = of_ana.expect("conversation.status_changed").await;
    assert_eq!(data["status"], "resolved");
    assert_eq!(data["contact"]["id"], data["contact"]["id"]);

    // Everything above was before this for Bob too.
    let theirs = shop.open(&bridge, "bob").await;
    shop.say(&bridge, "bob", theirs, "it is me").await;
    assert_eq!(of_bob.names_until("message.created").await[0], "conversation.created", "nothing of Ana's before it");
    of_ana.send(json!({"command": "unsubscribe", "identifier": ana.to_string()})).await;
    of_ana.send(json!({"command": "subscribe", "identifier": "{}"})).await;
    while of_ana.told().await["type"] != "reject_subscription" {}
    bridge.post(&format!("{path}/messages"), json!({"content": "nobody hears"})).await;
    assert!(of_ana.subscribe(&ana).await, "the next frame is of the new subscription");
}

#[tokio::test]
async fn agents_hear_what_they_may_see() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let (open, closed) = (Shop::new(&bridge, "Open").await, Shop::new(&bridge, "Closed").await);
    let (token, number) = user(&app, "acme", "Agnes", Role::Agent).await;
    bridge.post("/inbox_members", json!({"inbox_id": open.inbox["id"], "user_ids": [number]})).await;
    open.contact(&bridge, "ana").await;
    closed.contact(&bridge, "ana").await;
    let server = Server::of(&app).await;
    let mut client = server.client().await;
    let who = identifier(&app, &token, number).await;
    assert!(client.subscribe(&who).await);

    let hidden = closed.open(&bridge, "ana").await;
    closed.say(&bridge, "ana", hidden, "hidden").await;
    let shown = open.open(&bridge, "ana").await;
    open.say(&bridge, "ana", shown, "shown").await;
    assert_eq!(client.expect("conversation.created").await["id"], shown);
    let data = client.expect("message.created").await;
    assert_eq!((&data["content"], &data["sender"]["type"]), (&json!("shown"), &json!("contact")));
    let path = format!("{}/contacts/ana/conversations/{shown}/toggle_typing", open.door);
    bridge.public("POST", &path, Some(json!({"typing_status": "off"}))).await.expect(200);
    assert_eq!(client.expect("conversation.typing_off").await["user"]["type"], "contact");
    bridge.post(&format!("/conversations/{shown}/assignments"), json!({"assignee_id": number})).await;
    let data = client.expect("assignee.changed").await;
    assert_eq!(data["meta"]["assignee"]["id"], number);
    bridge.post(&format!("/conversations/{shown}/labels"), json!({"labels": ["vip"]})).await;
    while client.expect("conversation.updated").await["labels"] != json!(["vip"]) {}

    // Their own typing is no news to them; who left hears nothing any more.
    let agent = Bridge { app: &app, token };
    agent.post(&format!("/conversations/{shown}/toggle_typing_status"), json!({"typing_status": "on"})).await;
    agent.post(&format!("/conversations/{shown}/messages"), json!({"content": "mine"})).await;
    assert!(!client.names_until("message.created").await.contains(&"conversation.typing_on".to_owned()));
    bridge.call("DELETE", &format!("/agents/{number}"), None).await.expect_status(200);
    let update = json!({"action": "update_presence"}).to_string();
    client.send(json!({"command": "message", "identifier": who.to_string(), "data": update})).await;
    while client.frame().await.is_some() {}
}

#[tokio::test]
async fn nobody_subscribes_with_what_proves_nothing() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let shop = Shop::new(&bridge, "Shop").await;
    let ana = shop.contact(&bridge, "ana").await;
    app.tenant("other").await;
    let (token, number) = user(&app, "acme", "Agnes", Role::Agent).await;
    let (_, stranger) = user(&app, "other", "Sten", Role::Owner).await;
    let who = identifier(&app, &token, number).await;
    let with = |name: &str, value: Value| {
        let mut changed = who.clone();
        changed[name] = value;
        changed
    };
    let server = Server::of(&app).await;
    let mut client = server.client().await;
    for identifier in [
        json!({"channel": "OtherChannel", "pubsub_token": ana["pubsub_token"]}),
        json!({"channel": "RoomChannel", "pubsub_token": "111111111111111111111111"}),
        json!({"channel": "RoomChannel"}),
        json!({"channel": "RoomChannel", "pubsub_token": who["pubsub_token"]}),
        with("account_id", json!(3)),
        with("account_id", json!(99)),
        with("user_id", json!(stranger)),
        with("pubsub_token", ana["pubsub_token"].clone()),
    ] {
        assert!(!client.subscribe(&identifier).await, "{identifier}");
    }
    assert!(client.subscribe(&with("user_id", json!(number.to_string()))).await, "numbers may be text");
    client.send(json!({"command": "dance", "identifier": "x"})).await;
    client.send(json!("nonsense")).await;
    assert!(client.subscribe(&ana).await, "nonsense is passed over");
    // A frame that is too large ends the connection.
    client.socket.send(Message::Text("x".repeat(20_000).into())).await.expect("sends");
    while client.frame().await.is_some() {}
}

#[tokio::test]
async fn who_is_there_shows_in_the_application_api() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let shop = Shop::new(&bridge, "Shop").await;
    let ana = shop.contact(&bridge, "ana").await;
    let conversation = shop.open(&bridge, "ana").await;
    let (token, number) = user(&app, "acme", "Agnes", Role::Agent).await;
    let status = async || {
        let agents = bridge.get("/agents").await;
        let agent =
            agents.as_array().expect("a list").iter().find(|agent| agent["id"] == number).expect("Agnes").clone();
        let shown = bridge.get(&format!("/conversations/{conversation}")).await;
        let contact = shown["meta"]["sender"]["availability_status"].clone();
        format!("{} {}", agent["availability_status"], contact).replace('"', "")
    };
    assert_eq!(status().await, "offline offline");
    let server = Server::of(&app).await;
    let mut client = server.client().await;
    assert!(client.subscribe(&ana).await);
    let who = identifier(&app, &token, number).await;
    client.send(json!({"command": "subscribe", "identifier": who.to_string()})).await;
    assert_eq!(client.told().await["type"], "confirm_subscription");
    let (event, data) = client.event().await;
    assert_eq!((event.as_str(), &data["users"]), ("presence.update", &json!({number.to_string(): "online"})));
    assert_eq!(data["contacts"].as_object().map(|contacts| contacts.len()), Some(1));
    assert_eq!(status().await, "online online");
    app.clock.advance_us(21_000_000);
    assert_eq!(status().await, "offline online");
    app.clock.advance_us(70_000_000);
    assert_eq!(status().await, "offline offline");
    let update = json!({"action": "update_presence"}).to_string();
    client.send(json!({"command": "message", "identifier": who.to_string(), "data": update})).await;
    assert_eq!(client.event().await.0, "presence.update");
    assert_eq!(status().await, "online offline");
    bridge.patch(&format!("/agents/{number}"), json!({"availability": "busy", "auto_offline": false})).await;
    app.clock.advance_us(21_000_000);
    assert_eq!(status().await, "busy offline", "who does not go offline by themselves is what they say");
}

#[tokio::test]
async fn an_address_and_a_subscriber_have_so_many_places() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let shop = Shop::new(&bridge, "Shop").await;
    let (ana, bob) = (shop.contact(&bridge, "ana").await, shop.contact(&bridge, "bob").await);
    let server = Server::of(&app).await;
    let mut clients = Vec::new();
    for number in 0..CONNECTIONS_PER_ADDRESS {
        let mut client = server.client().await;
        if number <= SUBSCRIPTIONS_PER_PERSON {
            assert_eq!(client.subscribe(&ana).await, number < SUBSCRIPTIONS_PER_PERSON, "{number}");
        }
        clients.push(client);
    }
    assert!(clients[SUBSCRIPTIONS_PER_PERSON].subscribe(&bob).await, "the neighbour has places of their own");
    assert_eq!(server.try_client().await.err(), Some(429));

    // A place is free again a moment after its connection has gone.
    drop(clients.remove(0));
    let again = async {
        loop {
            if let Ok(client) = server.try_client().await {
                return client;
            }
        }
    };
    let mut client = tokio::time::timeout(LATE, again).await.expect("a place");
    assert!(client.subscribe(&ana).await);
}

#[tokio::test]
async fn a_server_that_stops_says_goodbye() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let ana = Shop::new(&bridge, "Shop").await.contact(&bridge, "ana").await;
    let mut server = Server::of(&app).await;
    let mut client = server.client().await;
    assert!(client.subscribe(&ana).await);
    let ping = client.frame().await.expect("not closed");
    assert_eq!((&ping["type"], ping["message"].is_i64()), (&json!("ping"), true));
    app.hub.streams().end();
    drop(server.stop.take());
    let goodbye = client.told().await;
    assert_eq!((&goodbye["type"], &goodbye["reconnect"]), (&json!("disconnect"), &json!(true)));
    assert_eq!(client.frame().await, None);
    assert_eq!(server.serving.await.expect("ends"), Ended::Drained);
    let plain = axum::http::Request::get("/cable").body(axum::body::Body::empty()).expect("a request");
    assert!(app.send(plain).await.status.is_client_error(), "no upgrade was asked for");
}
