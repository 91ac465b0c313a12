//! From the press on the phone to the answer of the call that is held: server and bot as they are shipped, and a Bot API in
//! this process that hands out presses.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, ensure};
use axum::Router;
use axum::extract::{Path as UrlPath, State};
use axum::routing::post;
use nightlatch_benches::SECRET_LEN;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use crate::house::{House, Setting, USUAL};
use crate::load::Target;
use crate::people;
use crate::process::Process;

/// Chats, each with a cluster of its own: one chat takes about one message a second.
const CHATS: usize = 60;

/// What p99 shall be at most.
pub const AIM: Duration = Duration::from_millis(50);

/// What was found.
#[derive(Debug)]
pub struct Phone {
    /// How long each press took, sorted.
    pub took: Vec<Duration>,
    /// How long nothing happened before.
    pub idle_for: Duration,
    /// The server, and the bot.
    pub processes: [Costs; 2],
}

impl Phone {
    /// How long so many of a hundred presses took at the most.
    pub fn percentile(&self, percent: usize) -> Duration {
        self.took.get(self.took.len() * percent / 100).copied().unwrap_or_default()
    }
}

/// What one process costs.
#[derive(Debug)]
pub struct Costs {
    /// Which it is.
    pub name: &'static str,
    /// Resident memory when nothing has happened yet, in kB.
    pub idle: u64,
    /// Resident memory after the presses, in kB.
    pub after: u64,
    /// Processor time while nothing happened: the kernel counts in ticks of 10 ms.
    pub idle_cpu: Duration,
    /// Processor time for one press and all that belongs to it: ask, prompt, edits.
    pub press_cpu: Duration,
}

/// A prompt on the screen.
struct Prompt {
    chat: i64,
    message: i64,
    /// What the button Approve sends.
    data: String,
}

/// The Bot API, as far as the bot uses it.
struct BotApi {
    prompts: mpsc::UnboundedSender<Prompt>,
    presses: tokio::sync::Mutex<mpsc::UnboundedReceiver<Prompt>>,
    /// When the last press was handed to the bot.
    handed: Mutex<Option<Instant>>,
    numbers: AtomicI64,
}

#[expect(clippy::disallowed_methods, reason = "this is what is measured")]
fn now() -> Instant {
    Instant::now()
}

impl BotApi {
    fn number(&self) -> i64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    async fn answer(&self, method: &str, body: &Value) -> Value {
        let chat = body["chat_id"].as_i64().unwrap_or_default();
        match method.to_lowercase().as_str() {
            "getme" => json!({
                "id": 1, "is_bot": true, "first_name": "bench", "username": "bench_bot", "can_join_groups": false,
                "can_read_all_group_messages": false, "supports_inline_queries": false, "can_connect_to_business": false,
                "has_main_web_app": false, "has_topics_enabled": false, "allows_users_to_create_topics": false,
            }),
            "getupdates" => self.updates(Duration::from_secs(body["timeout"].as_u64().unwrap_or_default())).await,
            "sendmessage" => {
                let message = self.number();
                let rows =
                    body.pointer("/reply_markup/inline_keyboard").and_then(Value::as_array).into_iter().flatten();
                let mut data = rows.flat_map(|row| row.as_array().into_iter().flatten()).filter_map(|button| {
                    button["callback_data"].as_str().filter(|data| data.starts_with("1a")).map(str::to_owned)
                });
                if let Some(data) = data.next() {
                    let _nobody_waits = self.prompts.send(Prompt { chat, message, data });
                }
                shown(chat, message)
            }
            "editmessagetext" => shown(chat, body["message_id"].as_i64().unwrap_or_default()),
            _ => json!(true),
        }
    }

    async fn updates(&self, patience: Duration) -> Value {
        let mut presses = self.presses.lock().await;
        let Ok(Some(Prompt { chat, message, data })) = timeout(patience, presses.recv()).await else {
            return json!([]);
        };
        let from = json!({ "id": chat, "is_bot": false, "first_name": "alice" });
        let pressed = json!([{ "update_id": self.number(), "callback_query": {
            "id": self.number().to_string(), "from": from, "chat_instance": "1", "data": data, "message": shown(chat, message),
        } }]);
        *self.handed.lock().unwrap_or_else(PoisonError::into_inner) = Some(now());
        pressed
    }
}

/// A message of the bot in a private chat.
fn shown(chat: i64, message: i64) -> Value {
    let date = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs());
    json!({
        "message_id": message, "date": date, "chat": { "id": chat, "type": "private", "first_name": "alice" },
        "from": { "id": 1, "is_bot": true, "first_name": "bench", "username": "bench_bot" }, "text": "a message",
    })
}

async fn serve(
    State(api): State<Arc<BotApi>>,
    UrlPath((_, method)): UrlPath<(String, String)>,
    body: String,
) -> String {
    let body = serde_json::from_str(&body).unwrap_or_default();
    json!({ "ok": true, "result": api.answer(&method, &body).await }).to_string()
}

/// Has `rounds` nodes ask one after the other, and presses Approve for each. `None` when there is no bot to measure.
pub fn measure(house: &House, bot: &Path, quick: bool) -> Result<Option<Phone>> {
    if !bot.exists() {
        println!("phone: skipped, build the bot first: cargo build --release -p nightlatch-bot");
        return Ok(None);
    }
    let (rounds, idle_for) = if quick { (60, Duration::from_secs(2)) } else { (300, Duration::from_secs(20)) };
    let measured = people::block_on(run(house, bot, rounds, idle_for));
    measured.map(Some).with_context(|| std::fs::read_to_string(house.path().join("bot.log")).unwrap_or_default())
}

async fn run(house: &House, bot: &Path, rounds: usize, idle_for: Duration) -> Result<Phone> {
    let (told, mut prompts) = mpsc::unbounded_channel();
    let (press, presses) = mpsc::unbounded_channel();
    let api = Arc::new(BotApi {
        prompts: told,
        presses: tokio::sync::Mutex::new(presses),
        handed: Mutex::default(),
        numbers: AtomicI64::new(1),
    });
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let routes = Router::new().route("/{bot}/{method}", post(serve)).with_state(Arc::clone(&api));
    let serving = tokio::spawn(async move { axum::serve(listener, routes).await });

    let server = house.start(&Setting { nodes: rounds, rule: "ask", chats: CHATS, ..USUAL })?;
    let bot = house.start_bot(bot, address, CHATS)?;
    sleep(Duration::from_secs(2)).await;
    let before = [server.cpu_micros()?, bot.cpu_micros()?];
    let idle = [server.memory("VmRSS")?, bot.memory("VmRSS")?];
    sleep(idle_for).await;
    let quiet = [server.cpu_micros()?, bot.cpu_micros()?];

    let target = Target { address: server.address, tls: None, blobs: Arc::clone(&house.blobs) };
    let mut took = vec![];
    for node in 0..rounds {
        let (mut client, request) = (target.connect(None).await?, target.unseal(node)?);
        let call = tokio::spawn(async move {
            let answer = client.unseal(request).await;
            (now(), answer)
        });
        let prompt = timeout(Duration::from_secs(30), prompts.recv()).await?.context("the Bot API ended")?;
        press.send(prompt).map_err(|_| anyhow!("nobody polls"))?;
        let (answered, answer) = call.await?;
        let answer = answer.context("the call was not held until the press")?;
        ensure!(answer.get_ref().data.len() == SECRET_LEN, "that was no secret");
        let handed = api.handed.lock().unwrap_or_else(PoisonError::into_inner).take().context("nothing was pressed")?;
        took.push(answered - handed);
    }
    let costs = |name, index: usize, process: &Process| {
        let at = |values: [u64; 2]| values.get(index).copied().unwrap_or_default();
        Ok::<_, anyhow::Error>(Costs {
            name,
            idle: at(idle),
            after: process.memory("VmRSS")?,
            idle_cpu: Duration::from_micros(at(quiet) - at(before)),
            press_cpu: Duration::from_micros(process.cpu_micros()? - at(quiet)) / u32::try_from(rounds)?,
        })
    };
    let processes = [costs("nightlatch", 0, &server)?, costs("nightlatch-bot", 1, &bot)?];
    bot.stop()?;
    server.stop()?;
    serving.abort();
    took.sort_unstable();
    let found = Phone { took, idle_for, processes };
    println!("phone: {rounds} presses, median {:?}", found.percentile(50));
    Ok(found)
}

/// The bot's configuration: chats 1 to `chats`, each for a cluster.
pub fn configuration(directory: &Path, api: std::net::SocketAddr, chats: usize) -> String {
    let at = |name: &str| directory.join(name).display().to_string();
    let mut text = format!(
        "socket = \"{}\"\nstate_directory = \"{}\"\ntoken_file = \"{}\"\napi = \"http://{api}\"\n",
        at("telegram.sock"),
        at("bot"),
        at("token"),
    );
    for chat in 1..=chats {
        text.push_str(&format!("[[chat]]\nid = {chat}\nclusters = [\"cluster-{chat}\"]\n"));
    }
    text
}

/// What the server's configuration says about them, and the tables of its nodes, spread over the clusters.
pub fn people_and_nodes(uid: u32, socket: &Path, chats: usize, tables: &str) -> (String, String) {
    let list = |of: &dyn Fn(usize) -> String| (1..=chats).map(of).collect::<Vec<_>>().join(", ");
    let approvers = list(&|chat| format!("{{ name = \"person-{chat}\", telegram_id = {chat} }}"));
    let clusters = list(&|chat| format!("{{ name = \"cluster-{chat}\" }}"));
    let head = format!(
        "approver = [{approvers}]\ncluster = [{clusters}]\nchannel = [{{ name = \"telegram\", people = \"telegram\", \
         uid = {uid}, socket = \"{}\" }}]\n",
        socket.display()
    );
    let nodes = tables.split("[[node]]\n").skip(1).enumerate();
    let nodes = nodes.map(|(number, rest)| format!("[[node]]\ncluster = \"cluster-{}\"\n{rest}", 1 + number % chats));
    (head, nodes.collect())
}
