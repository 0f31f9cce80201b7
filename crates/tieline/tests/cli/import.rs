//! `tieline import chatwoot`, with our own application API as the Chatwoot: killed in the middle it goes on, run again it
//! changes nothing, and what came is what was there.

use crate::support::{Client, Ended, Place, Server, answer, signal};
use serde_json::{Map, Value, json};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Forwards to a server whose address is known later, and stops in the middle when it is told to.
#[derive(Clone)]
struct Gate(Arc<(Mutex<State>, Condvar)>, u16);

#[derive(Default)]
struct State {
    to: Option<String>,
    /// Requests that may pass; none for all.
    left: Option<usize>,
    stopped: bool,
}

impl Gate {
    fn new() -> Gate {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let gate = Gate(Arc::default(), listener.local_addr().unwrap().port());
        let (forward, passes) = (gate.clone(), gate.clone());
        std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let to = forward.0.0.lock().unwrap().to.clone().expect("an address");
                let server = TcpStream::connect(to).unwrap();
                let pass = passes.clone();
                for (from, into, counts) in [(&client, &server, true), (&server, &client, false)] {
                    let (mut from, mut into, pass) =
                        (from.try_clone().unwrap(), into.try_clone().unwrap(), pass.clone());
                    std::thread::spawn(move || {
                        let mut bytes = [0; 8192];
                        while let Ok(count @ 1..) = from.read(&mut bytes) {
                            // A request of the import is one piece.
                            if counts && bytes.starts_with(b"GET ") {
                                pass.one();
                            }
                            if into.write_all(&bytes[..count]).is_err() {
                                break;
                            }
                        }
                        let _ = into.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        gate
    }
    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.1)
    }
    fn lead_to(&self, server: &Server) {
        self.0.0.lock().unwrap().to = Some(server.url.trim_start_matches("http://").to_owned());
    }
    fn one(&self) {
        let mut state = self.0.0.lock().unwrap();
        match state.left {
            Some(0) => {
                state.stopped = true;
                self.0.1.notify_all();
                drop(self.0.1.wait_while(state, |state| state.left == Some(0)).unwrap());
            }
            Some(left) => state.left = Some(left - 1),
            None => {}
        }
    }
    /// Lets so many requests pass.
    fn let_pass(&self, left: Option<usize>) {
        let mut state = self.0.0.lock().unwrap();
        (state.left, state.stopped) = (left, false);
        self.0.1.notify_all();
    }
    /// Waits until a request is held back.
    fn wait(&self) {
        let state = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(state, |state| !state.stopped).unwrap());
    }
}

/// A tenant with an administrator, as the administrator sees it.
struct Account {
    client: Client,
    base: String,
    token: String,
    http: reqwest::Client,
}

impl Account {
    fn new(place: &Place, slug: &str, url: &str) -> Account {
        let create = ["tenant", "create", "--slug", slug, "--name", slug, "--rate-limit", "100000", "--json"];
        place.run(&create).ok();
        let user = ["user", "create", "--tenant", slug, "--name", "Bea", "--role", "admin", "--json"];
        let made = place.run(&[&user[..], &["--email", "bea@example.com"]].concat()).json();
        let token = made["accessToken"].as_str().unwrap().to_owned();
        Account {
            client: Client::new(url, &token),
            base: format!("/api/v1/accounts/{}", made["accountId"]),
            token,
            http: reqwest::Client::new(),
        }
    }
    /// The same seen at another address, after a restart.
    fn at(&self, url: &str) -> Account {
        let (base, token) = (self.base.clone(), self.token.clone());
        Account { client: Client::new(url, &token), base, token, http: self.http.clone() }
    }
    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.client.get(&format!("{}{path}", self.base)).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }
    async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.client.post(&format!("{}{path}", self.base), &body).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }
    async fn all(&self, path: &str, rows: impl Fn(&Value) -> &Value) -> Vec<Value> {
        let mut all: Vec<Value> = Vec::new();
        for page in 1.. {
            let answer = self.get(&format!("{path}&page={page}")).await;
            let rows = rows(&answer).as_array().unwrap();
            if rows.is_empty() {
                break;
            }
            all.extend(rows.iter().cloned());
        }
        all
    }

    /// Everything that an import takes over, without numbers that differ.
    async fn snapshot(&self) -> Value {
        let mut agents = pick(&self.get("/agents").await, &["email", "name", "role"]);
        sort(&mut agents);
        let mut teams = Vec::new();
        for team in self.get("/teams").await.as_array().unwrap() {
            let members = self.get(&format!("/teams/{}/team_members", team["id"])).await;
            teams.push(json!({"name": team["name"], "description": team["description"], "members": pick(&members, &["email"])}));
        }
        let labels = pick(&self.get("/labels").await["payload"], &["title", "description"]);
        let fields = [
            "attribute_key",
            "attribute_display_name",
            "attribute_display_type",
            "attribute_model",
            "attribute_values",
        ];
        let definitions = pick(&self.get("/custom_attribute_definitions").await, &fields);
        let canned = pick(&self.get("/canned_responses").await, &["short_code", "content"]);
        let mut inboxes = Vec::new();
        for inbox in self.get("/inboxes").await["payload"].as_array().unwrap() {
            let members = self.get(&format!("/inbox_members/{}", inbox["id"])).await;
            let names = [
                "name",
                "channel_type",
                "inbox_identifier",
                "lock_to_single_conversation",
                "greeting_message",
                "hmac_token",
            ];
            let mut one = pick_one(inbox, &names);
            one["hmac_mandatory"] = inbox["hmac_mandatory"].clone();
            one["members"] = pick(&members["payload"], &["email"]);
            one["bot"] = self.get(&format!("/inboxes/{}/agent_bot", inbox["id"])).await["agent_bot"]["name"].clone();
            inboxes.push(one);
        }
        let mut bots =
            pick(&self.get("/agent_bots").await, &["name", "description", "outgoing_url", "bot_config", "secret"]);
        sort(&mut bots);
        let hooks = self.get("/webhooks").await["payload"]["webhooks"].clone();
        let mut shown = pick(&hooks, &["name", "url", "subscriptions", "secret"]);
        for (one, hook) in shown.as_array_mut().unwrap().iter_mut().zip(hooks.as_array().unwrap()) {
            one["inbox"] = hook["inbox"]["name"].clone();
        }
        let mut rules = Vec::new();
        for rule in self.get("/automation_rules").await["payload"].as_array().unwrap() {
            let mut one = pick_one(rule, &["name", "description", "event_name", "conditions", "actions"]);
            // Their numbers differ, whom they mean does not.
            let inbox = self.get(&format!("/inboxes/{}", rule["conditions"][1]["values"][0])).await;
            one["conditions"][1]["values"] = inbox["name"].clone();
            let team = self.get(&format!("/teams/{}", rule["actions"][1]["action_params"][0])).await;
            one["actions"][1]["action_params"] = team["name"].clone();
            rules.push(one);
        }
        let contacts = self.all("/contacts?sort=name", |answer| &answer["payload"]).await;
        let names = [
            "name",
            "email",
            "phone_number",
            "identifier",
            "custom_attributes",
            "additional_attributes",
            "blocked",
            "created_at",
            "last_activity_at",
            "thumbnail",
        ];
        let mut known = Vec::new();
        for contact in &contacts {
            let mut one = pick_one(contact, &names);
            let at = contact["contact_inboxes"].as_array().unwrap().iter();
            one["at"] = at.map(|at| json!([at["source_id"], at["inbox"]["name"]])).collect();
            one["labels"] = self.get(&format!("/contacts/{}/labels", contact["id"])).await["payload"].clone();
            known.push(one);
        }
        let mut contacts = Value::from(known);
        sort(&mut contacts);
        let mut conversations = Vec::new();
        for v in self.all("/conversations?status=all", |answer| &answer["data"]["payload"]).await {
            conversations.push(self.conversation(&v).await);
        }
        conversations.sort_by_key(|v| v["id"].as_i64());
        json!({"agents": agents, "teams": teams, "labels": labels, "canned": canned, "definitions": definitions, "inboxes": inboxes,
               "bots": bots, "webhooks": shown, "rules": rules, "contacts": contacts, "conversations": conversations})
    }

    async fn conversation(&self, v: &Value) -> Value {
        let names = [
            "id",
            "status",
            "snoozed_until",
            "priority",
            "labels",
            "custom_attributes",
            "additional_attributes",
            "created_at",
            "last_activity_at",
            "contact_last_seen_at",
            "agent_last_seen_at",
            "muted",
        ];
        let mut one = pick_one(v, &names);
        if v["custom_attributes"]["late"] != true {
            one["waiting_since"] = v["waiting_since"].clone();
            one["first_reply_created_at"] = v["first_reply_created_at"].clone();
        } else {
            one["last_activity_at"] = Value::Null;
        }
        one["who"] = json!([v["meta"]["sender"]["name"], v["meta"]["assignee"]["name"], v["meta"]["team"]["name"]]);
        one["followers"] = pick(&self.get(&format!("/conversations/{}/participants", v["id"])).await, &["email"]);
        let uuid = v["uuid"].as_str().unwrap();
        let (status, survey) = self.client.get(&format!("/public/api/v1/csat_survey/{uuid}")).await;
        let said = pick_one(&survey["csat_survey_response"], &["rating", "feedback_message"]);
        one["survey"] = json!([status, said]);
        let (mut after, mut said) = (0, Vec::new());
        loop {
            let page = self.get(&format!("/conversations/{}/messages?after={after}", v["id"])).await;
            let page = page["payload"].as_array().unwrap().clone();
            let Some(last) = page.last() else { break };
            after = last["id"].as_i64().unwrap();
            said.extend(page);
        }
        let mut messages = Vec::new();
        for message in &said {
            let mut shown = pick_one(
                message,
                &["content", "message_type", "content_type", "status", "private", "created_at", "source_id"],
            );
            shown["sender"] = message["sender"]["name"].clone();
            let mut attributes = message["content_attributes"].clone();
            if let Some(number) = attributes.get("in_reply_to").filter(|number| !number.is_null()) {
                let answered = said.iter().find(|other| other["id"] == *number).expect("the message that was answered");
                attributes["in_reply_to"] = answered["content"].clone();
            }
            shown["content_attributes"] = attributes;
            let mut files = Vec::new();
            for file in message["attachments"].as_array().unwrap_or(&Vec::new()) {
                let bytes = self.http.get(file["data_url"].as_str().unwrap()).send().await.unwrap();
                assert_eq!(bytes.status(), 200);
                let bytes = bytes.text().await.unwrap();
                files.push(json!([file["file_type"], file["extension"], file["file_size"], bytes]));
            }
            shown["files"] = files.into();
            messages.push(shown);
        }
        one["messages"] = messages.into();
        one
    }

    /// Fills the account with a bit of everything; how many conversations.
    async fn fill(&self, place: &Place, slug: &str) -> usize {
        let user = ["user", "create", "--tenant", slug, "--name", "Leo", "--role", "agent", "--json"];
        place.run(&[&user[..], &["--email", "leo@example.com"]].concat()).ok();
        let agents = self.get("/agents").await;
        let leo = agents.as_array().unwrap().iter().find(|agent| agent["name"] == "Leo").unwrap()["id"].clone();
        let team = self.post("/teams", json!({"name": "support", "description": "Everything"})).await["id"].clone();
        self.post(&format!("/teams/{team}/team_members"), json!({"user_ids": [leo]})).await;
        self.post("/labels", json!({"title": "vip", "description": "Very important"})).await;
        self.post("/canned_responses", json!({"short_code": "oi", "content": "Olá! Como posso ajudar?"})).await;
        let definition = json!({"attribute_key": "size", "attribute_display_name": "Size", "attribute_display_type": 6,
            "attribute_model": 1, "attribute_values": ["S", "M"]});
        self.post("/custom_attribute_definitions", definition).await;
        let inbox = json!({"name": "Shop", "greeting_message": "Hi!", "channel": {"type": "api"}});
        let inbox = self.post("/inboxes", inbox).await;
        let one = json!({"name": "One", "lock_to_single_conversation": true, "channel": {"type": "api", "hmac_mandatory": true}});
        let one = self.post("/inboxes", one).await["id"].clone();
        let bot = json!({"name": "Zé", "description": "greets", "outgoing_url": "https://bot.example/in", "bot_config": {"a": 1}});
        let bot = self.post("/agent_bots", bot).await["id"].clone();
        let set = json!({"agent_bot": bot});
        let (status, _) = self.client.post(&format!("{}/inboxes/{one}/set_agent_bot", self.base), &set).await;
        assert_eq!(status, 200);
        let rule = json!({"name": "Sort", "description": "by inbox", "event_name": "message_created", "active": true,
            "conditions": [
                {"attribute_key": "content", "filter_operator": "contains", "values": ["refund"], "query_operator": "and"},
                {"attribute_key": "inbox_id", "filter_operator": "equal_to", "values": [inbox["id"]], "query_operator": null}],
            "actions": [{"action_name": "add_label", "action_params": ["vip"]}, {"action_name": "assign_team", "action_params": [team]}]});
        self.post("/automation_rules", rule).await;
        self.post("/inbox_members", json!({"inbox_id": inbox["id"], "user_ids": [leo]})).await;
        let door = format!("/public/api/v1/inboxes/{}/messages", inbox["inbox_identifier"].as_str().unwrap());
        for number in 0..CONVERSATIONS {
            let contact = match number % 4 {
                0 => {
                    json!({"name": format!("Ana {number:02}"), "email": format!("ana{number}@example.com"), "custom_attributes": {"size": "M"}})
                }
                1 => json!({"name": format!("Rui {number:02}"), "phone_number": format!("+3519123456{number:02}")}),
                2 => {
                    json!({"name": format!("Zoe {number:02}"), "identifier": format!("zoe-{number}"), "additional_attributes": {"city": "Faro"}})
                }
                _ => json!({"name": format!("Nobody {number:02}")}), // only a conversation leads to them
            };
            let landing = json!({"source_id": format!("c-{number}"), "contact": contact,
                "conversation": {"custom_attributes": {"order": number, "late": number % 8 == 1}},
                "message": {"content": format!("Where is order {number}?"), "source_id": format!("m-{number}")}});
            let (status, landed) = self.client.post(&door, &landing).await;
            assert_eq!(status, 200, "{landed}");
            self.talk(number, &landed, &leo, &team, &bot).await;
        }
        // The last: nothing of all this is for it.
        let hook = json!({"url": "https://hooks.example/desk", "name": "flow", "subscriptions": ["message_created"], "inbox_id": inbox["id"]});
        self.post("/webhooks", hook).await;
        CONVERSATIONS
    }

    /// What goes on in the conversation with this place.
    async fn talk(&self, number: usize, landed: &Value, leo: &Value, team: &Value, bot: &Value) {
        let path = format!("/conversations/{}", landed["conversation"]["id"]);
        let contact = format!("/contacts/{}", landed["contact"]["id"]);
        let say = |body: Value| self.post_owned(format!("{path}/messages"), body);
        match number % 8 {
            0 => {
                say(json!({"content": "It is on its way", "source_id": "out-1"})).await;
                say(json!({"content": "call them", "private": true})).await;
                self.post(&format!("{path}/toggle_status"), json!({"status": "resolved"})).await;
                self.post(&format!("{contact}/labels"), json!({"labels": ["vip"]})).await;
                let put = self.http.put(self.client.at(&format!("{}{contact}", self.base)));
                let picture = json!({"avatar_url": "https://pics.example/ana.png"});
                let (status, _) = answer(put.header("api_access_token", &self.token).json(&picture)).await;
                assert_eq!(status, 200);
            }
            1 => {
                let reply = json!({"content": "Which one?", "content_attributes": {"in_reply_to": landed["message"]["id"]},
                    "external_created_at": 1_650_000_000});
                let reply = say(reply).await;
                let (status, _) = answer(
                    self.http
                        .patch(self.client.at(&format!("{}{path}/messages/{}", self.base, reply["id"])))
                        .header("api_access_token", &self.token)
                        .json(&json!({"status": "failed", "external_error": "no such number"})),
                )
                .await;
                assert_eq!(status, 200);
            }
            2 => {
                let snooze = json!({"status": "snoozed", "snoozed_until": 4_070_908_800_i64});
                self.post(&format!("{path}/toggle_status"), snooze).await;
                self.post(&format!("{path}/labels"), json!({"labels": ["vip", "late-order"]})).await;
            }
            3 => {
                self.post(&format!("{path}/assignments"), json!({"assignee_id": leo})).await;
                self.post(&format!("{path}/assignments"), json!({"team_id": team})).await;
                self.post(&format!("{path}/toggle_priority"), json!({"priority": "urgent"})).await;
                self.post(&format!("{path}/update_last_seen"), json!({})).await;
                self.post(&format!("{path}/participants"), json!({"user_ids": [leo]})).await;
            }
            4 => {
                let form = format!(
                    "--b\r\ncontent-disposition: form-data; name=\"content\"\r\n\r\nthe receipt\r\n--b\r\n\
                     content-disposition: form-data; name=\"attachments[]\"; filename=\"receipt.txt\"\r\n\
                     content-type: text/plain\r\n\r\nreceipt {number}\r\n--b--\r\n"
                );
                let url = self.client.at(&format!("{}{path}/messages", self.base));
                let request = self.http.post(url).header("api_access_token", &self.token);
                let request = request.header("content-type", "multipart/form-data; boundary=b").body(form);
                let (status, said) = answer(request).await;
                assert_eq!(status, 200, "{said}");
            }
            5 => {
                self.post(&format!("{path}/toggle_status"), json!({"status": "pending"})).await;
                say(json!({"content": "assigned to nobody", "message_type": "activity"})).await;
                say(json!({"content": "We are closed", "message_type": "template"})).await;
                say(json!({"content": "Pick one", "content_type": "input_select",
                    "content_attributes": {"items": [{"title": "A", "value": "a"}]}}))
                .await;
                say(json!({"content": "How was it?", "content_type": "input_csat"})).await;
                let uuid = landed["conversation"]["uuid"].as_str().unwrap();
                let url = self.client.at(&format!("/public/api/v1/csat_survey/{uuid}"));
                let said = json!({"csat_survey_response": {"rating": 4, "feedback_message": "quick"}});
                let said = json!({"message": {"submitted_values": said}});
                assert_eq!(answer(self.http.put(url).json(&said)).await.0, 200);
            }
            6 if number == 6 => {
                for n in 0..130 {
                    say(json!({"content": format!("line {n}"), "message_type": "incoming", "source_id": format!("l-{n}")})).await;
                }
            }
            _ => {
                self.post(&format!("{path}/assignments"), json!({"assignee_id": bot, "assignee_type": "AgentBot"}))
                    .await;
                let said = say(json!({"content": "oops"})).await;
                let url = self.client.at(&format!("{}{path}/messages/{}", self.base, said["id"]));
                let (status, _) = answer(self.http.delete(url).header("api_access_token", &self.token)).await;
                assert_eq!(status, 200);
            }
        }
    }
    async fn post_owned(&self, path: String, body: Value) -> Value {
        self.post(&path, body).await
    }
}

/// How long an event may take to show.
const PATIENCE: Duration = Duration::from_secs(30);
/// More than a page of them.
const CONVERSATIONS: usize = 32;

fn pick_one(row: &Value, names: &[&str]) -> Value {
    Value::Object(names.iter().map(|name| ((*name).to_owned(), row[*name].clone())).collect::<Map<_, _>>())
}

fn pick(rows: &Value, names: &[&str]) -> Value {
    rows.as_array().unwrap_or_else(|| panic!("no list: {rows}")).iter().map(|row| pick_one(row, names)).collect()
}

fn sort(rows: &mut Value) {
    rows.as_array_mut().unwrap().sort_by_key(Value::to_string);
}

fn arguments<'a>(url: &'a str, token: &'a str) -> Vec<&'a str> {
    vec!["import", "chatwoot", "--url", url, "--token", token, "--tenant", "shop", "--json"]
}

fn start(place: &Place, url: &str, token: &str) -> Child {
    let mut command = place.command(&arguments(url, token));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The number of all that came.
fn sum(counts: &Value) -> i64 {
    counts.as_object().unwrap().values().filter_map(Value::as_i64).sum()
}

/// Names of what happened, but for the inboxes that were made.
async fn news(client: &Client) -> Vec<String> {
    let events = client.get("/v1/events?limit=100").await.1;
    let names = events["data"].as_array().unwrap().iter().filter_map(|event| event["type"].as_str());
    names.filter(|name| !name.starts_with("inbox.")).map(str::to_owned).collect()
}

/// Where the importing process is when it is killed.
enum Killed {
    Command,
    Server,
}

async fn comes_over(to: Place, killed: Killed) {
    let (from, gate) = (Place::new(), Gate::new());
    let mut command = from.command(&["serve"]);
    let source = Server::start({
        command.env("TIELINE_PUBLIC_URL", gate.url());
        command
    });
    gate.lead_to(&source);
    // A tenant of its own number, so that the numbers of the accounts differ.
    from.run(&["tenant", "create", "--slug", "other", "--name", "Other"]).ok();
    let theirs = Account::new(&from, "desk", &source.url);
    let count = theirs.fill(&from, "desk").await;
    let expected = theirs.snapshot().await;
    assert_eq!(expected["conversations"].as_array().unwrap().len(), count);

    let ours = Account::new(&to, "shop", "http://127.0.0.1:1");
    // In the middle of the conversations: their pages and messages are most of the requests.
    gate.let_pass(Some(65));
    match killed {
        Killed::Command => {
            let mut running = start(&to, &gate.url(), &theirs.token);
            gate.wait();
            signal(&running, "KILL");
            running.wait().unwrap();
        }
        Killed::Server => {
            let server = to.serve();
            let running = start(&to, &gate.url(), &theirs.token);
            gate.wait();
            signal(&server.child, "KILL");
            let ended: Ended = running.wait_with_output().unwrap().into();
            assert!(!ended.success && ended.stdout.is_empty());
            let last = ended.stderr.lines().last().unwrap();
            assert!(last.starts_with("tieline: the server broke off"), "{last}");
            drop(server);
        }
    }
    gate.let_pass(None);

    let server = matches!(killed, Killed::Server).then(|| to.serve());
    let report = to.run(&arguments(&gate.url(), &theirs.token)).json();
    let numbers = |of: &str, noun: &str| report[of][noun].as_i64().unwrap();
    for noun in ["conversations", "messages"] {
        assert!(numbers("new", noun) > 0, "{report}");
    }
    assert!(numbers("alreadyHere", "contacts") > 0 && numbers("alreadyHere", "inboxes") == 2, "{report}");
    assert_eq!(sum(&report["lost"]), 0, "{report}");

    let server = server.unwrap_or_else(|| to.serve());
    let ours = ours.at(&server.url);
    let got = ours.snapshot().await;
    for (noun, rows) in expected.as_object().unwrap() {
        assert_eq!(got[noun].as_array().map(Vec::len), rows.as_array().map(Vec::len), "{noun}");
        for (row, other) in rows.as_array().unwrap().iter().zip(got[noun].as_array().unwrap()) {
            assert_eq!(row, other, "{noun}");
        }
    }

    // What acts by itself does not yet.
    for rule in ours.get("/automation_rules").await["payload"].as_array().unwrap() {
        assert_eq!(rule["active"], false);
    }
    let key =
        to.run(&["key", "create", "--tenant", "shop", "--name", "w", "--scopes", "webhooks:read", "--json"]).json();
    let hooks = Client::new(&server.url, key["key"].as_str().unwrap()).get("/v1/webhooks").await.1;
    let hooks = hooks["data"].as_array().unwrap();
    assert_eq!((hooks.len(), hooks.iter().filter(|hook| hook["isActive"] == false).count()), (2, 2), "{hooks:?}");

    // A second run changes nothing.
    let again = to.run(&arguments(&gate.url(), &theirs.token)).json();
    assert_eq!((sum(&again["new"]), sum(&again["lost"])), (0, 0), "{again}");
    assert_eq!(ours.snapshot().await, got);

    // What is new there comes with the next.
    let inbox = &expected["inboxes"].as_array().unwrap().iter().find(|inbox| inbox["name"] == "Shop").unwrap()["inbox_identifier"];
    let door = format!("/public/api/v1/inboxes/{}/messages", inbox.as_str().unwrap());
    for (source, text) in [("c-3", "And now?"), ("c-new", "Hello")] {
        let landing = json!({"source_id": source, "message": {"content": text, "source_id": format!("new-{source}")}});
        assert_eq!(theirs.client.post(&door, &landing).await.0, 200);
    }
    let more = to.run(&arguments(&gate.url(), &theirs.token)).json();
    let new = |noun: &str| more["new"][noun].as_i64().unwrap();
    assert_eq!((new("contacts"), new("conversations"), new("messages"), sum(&more["new"])), (1, 1, 2, 4), "{more}");

    // History is no news; what happens now is, and clients that knew the old place find the same names here.
    let key = to.run(&["key", "create", "--tenant", "shop", "--name", "k", "--scopes", "full_access", "--json"]).json();
    let client = Client::new(&server.url, key["key"].as_str().unwrap());
    assert_eq!(news(&client).await, Vec::<String>::new());
    let landing = json!({"source_id": "c-3", "message": {"content": "Still there?"}});
    let (status, landed) = client.post(&door, &landing).await;
    assert_eq!((status, &landed["created"]), (200, &json!({"contact": false, "conversation": false, "message": true})));
    // On PostgreSQL it gets its place in the log a moment later.
    let (since, mut events) = (Instant::now(), Vec::new());
    while events.is_empty() && since.elapsed() < PATIENCE {
        events = news(&client).await;
    }
    assert_eq!(events[0], "message.received");

    // A label that was taken off here stays off.
    let vip = got["contacts"].as_array().unwrap().iter().find(|contact| contact["labels"] == json!(["vip"])).unwrap();
    let found = ours.get(&format!("/contacts/search?q={}", vip["email"].as_str().unwrap())).await;
    let labels = format!("/contacts/{}/labels", found["payload"][0]["id"]);
    ours.post(&labels, json!({"labels": []})).await;
    to.run(&arguments(&gate.url(), &theirs.token)).ok();
    assert_eq!(ours.get(&labels).await["payload"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_over_though_the_command_is_killed() {
    comes_over(Place::new(), Killed::Command).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_over_though_the_server_that_imports_is_killed() {
    comes_over(Place::new(), Killed::Server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_over_to_postgresql() {
    comes_over(Place::on_postgres(), Killed::Command).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_in_one_line() {
    let (from, to) = (Place::new(), Place::new());
    let source = from.serve();
    let theirs = Account::new(&from, "desk", &source.url);
    let agent = [
        "user",
        "create",
        "--tenant",
        "desk",
        "--name",
        "Leo",
        "--role",
        "agent",
        "--email",
        "leo@example.com",
        "--json",
    ];
    let agent = from.run(&agent).json()["accessToken"].as_str().unwrap().to_owned();
    let host = source.url.trim_start_matches("http://").to_owned();
    let refused = |args: &[&str]| {
        let said = to.run(args).refusal();
        assert!(!said.contains(&theirs.token), "{said}");
        said.trim_end_matches("; what came until now stays, the same command goes on").to_owned()
    };
    let ask = |token: &str| refused(&arguments(&source.url, token));
    assert_eq!(ask(&theirs.token), "There is no tenant \"shop\".");
    to.run(&["tenant", "create", "--slug", "shop", "--name", "Shop"]).ok();
    let wrong = format!(
        "{host} does not accept the token (401 Unauthorized: Invalid Access Token): take that of an administrator's profile"
    );
    assert_eq!(ask("wrong"), wrong);
    assert_eq!(ask(&agent), "the token's user is no administrator of account 1: an agent sees only a part of it");
    let other = [&arguments(&source.url, &theirs.token)[..], &["--account", "7"]].concat();
    assert_eq!(refused(&other), "the token's user is not in account 7, but in: 1 (desk)");
    let nowhere = format!("{}/elsewhere", source.url);
    assert_eq!(
        refused(&arguments(&nowhere, &theirs.token)),
        format!("{host}/elsewhere has nothing at /api/v1/profile (404): is it a Chatwoot?")
    );
    assert_eq!(refused(&arguments("desk", &theirs.token)), "--url must be an http or https address, not \"desk\"");
    assert!(source.stop());
}
