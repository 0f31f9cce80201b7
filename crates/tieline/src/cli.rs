//! The arguments. Their names are stable: scripts rely on them.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Self-hosted conversation hub
#[derive(Parser)]
#[command(name = "tieline", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Configuration file; by default that of TIELINE_CONFIG, or tieline.toml, where there is one. `tieline config` lists the settings
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// A command.
#[derive(Subcommand)]
pub enum Command {
    /// Run the server
    Serve {
        /// Let a restored or paused installation send webhooks again
        #[arg(long)]
        resume_sending: bool,
        /// Serve a database that was moved elsewhere; what was written there since is not in it
        #[arg(long)]
        reopen: bool,
    },
    /// Try it: a throwaway server with sample data, a key, and a webhook receiver that prints
    Demo,
    /// Make and change tenants
    #[command(subcommand)]
    Tenant(Tenant),
    /// Make API keys
    #[command(subcommand)]
    Key(Key),
    /// Make users
    #[command(subcommand)]
    User(User),
    /// Stop and restart the sending of webhooks
    #[command(subcommand)]
    Sending(Sending),
    /// Take over what another system holds; a second run brings what is new there
    #[command(subcommand)]
    Import(Import),
    /// Stream events to a receiver on this machine, signed: no public address needed
    Listen(Listen),
    /// Print an OpenAPI document
    Openapi {
        /// Which API
        #[arg(value_enum)]
        api: Api,
    },
    /// Check this installation, and say what to do about what is wrong
    Doctor,
    /// Write everything but the secret key into one file, also while the server runs
    Backup {
        /// The file to write; it must not exist
        file: PathBuf,
    },
    /// Put a backup into an empty data folder; it starts with sending paused
    Restore {
        /// The backup
        file: PathBuf,
    },
    /// Restore a backup to a temporary folder and compare every count and checksum
    Verify {
        /// The backup
        file: PathBuf,
    },
    /// Bring the schema of the database up to this version
    Migrate {
        /// Only show what would be done
        #[arg(long)]
        show: bool,
    },
    /// Copy everything into another, empty database, between SQLite and PostgreSQL or within one, and verify it
    ///
    /// Stop every node first. A copy that was broken off goes on where it was.
    MoveStore {
        /// The database to leave: sqlite:<path> or postgres://user@host/name
        from: String,
        /// The database to go to, empty
        to: String,
        /// Print one JSON value
        #[arg(long)]
        json: bool,
    },
    /// Print the settings in effect and where each comes from
    Config,
}

/// Commands on tenants.
#[derive(Subcommand)]
pub enum Tenant {
    /// Make a tenant
    Create(TenantArgs),
    /// Change a tenant; what is not named stays
    Update(TenantArgs),
}

/// What a tenant is.
#[derive(Args)]
pub struct TenantArgs {
    /// Short name, unique: a-z, 0-9 and -
    #[arg(long)]
    pub slug: String,
    /// Display name
    #[arg(long)]
    pub name: Option<String>,
    /// Webhook endpoints it may have, in each of live and test
    #[arg(long, value_name = "N")]
    pub max_webhooks: Option<i64>,
    /// No webhooks
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    pub no_webhooks: Option<bool>,
    /// No API keys; people still sign in
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    pub no_api: Option<bool>,
    /// Limits of this name: 60, 300 or 1000 requests in 60 seconds with bursts of 10, 50 or 200, and 10000, 100000 or
    /// 1000000 a day, for each key
    #[arg(long, value_enum)]
    pub tier: Option<Tier>,
    /// Requests a key may make in any 60 seconds, without bursts
    #[arg(long, value_name = "N")]
    pub rate_limit: Option<i64>,
    /// Requests a key may make in a day; 0 is unlimited
    #[arg(long, value_name = "N")]
    pub daily_quota: Option<i64>,
    /// Requests a calendar month; 0 is unlimited
    #[arg(long, value_name = "N")]
    pub monthly_quota: Option<i64>,
    /// Print one JSON value
    #[arg(long)]
    pub json: bool,
}

/// Commands on keys.
#[derive(Subcommand)]
pub enum Key {
    /// Make a key; it is shown this once
    Create {
        /// Slug of the tenant
        #[arg(long)]
        tenant: String,
        /// Display name
        #[arg(long)]
        name: String,
        /// Scopes and bundles, comma-separated, such as conversations:write,webhooks:write or full_access
        #[arg(long)]
        scopes: String,
        /// Which of the tenant's two partitions
        #[arg(long, value_enum, default_value = "live")]
        mode: Mode,
        /// What it starts with
        #[arg(long, value_enum, default_value = "sa")]
        prefix: Prefix,
        /// Print one JSON value
        #[arg(long)]
        json: bool,
    },
}

/// Commands on users.
#[derive(Subcommand)]
pub enum User {
    /// Make a user; the access token is shown this once
    Create {
        /// Slug of the tenant
        #[arg(long)]
        tenant: String,
        /// Address to sign in with
        #[arg(long)]
        email: String,
        /// Display name
        #[arg(long)]
        name: String,
        /// What they may do
        #[arg(long, value_enum)]
        role: Role,
        /// Password; without one they cannot sign in yet
        #[arg(long)]
        password: Option<String>,
        /// Print one JSON value
        #[arg(long)]
        json: bool,
    },
}

/// Commands on sending.
#[derive(Clone, Copy, Subcommand)]
pub enum Sending {
    /// Send no webhooks until told otherwise; they wait
    Pause,
    /// Send again, what waited first
    Resume,
}

/// Systems that can be taken over.
#[derive(Subcommand)]
pub enum Import {
    /// An account of a Chatwoot, or of a system with its API, while it runs
    Chatwoot {
        /// Its address, such as https://app.example.com
        #[arg(long)]
        url: String,
        /// Access token of an administrator there
        #[arg(long, env = "TIELINE_IMPORT_TOKEN", hide_env_values = true)]
        token: String,
        /// Slug of the tenant that takes over
        #[arg(long)]
        tenant: String,
        /// Number of the account there; needed when the token's user is in several
        #[arg(long, value_name = "N")]
        account: Option<i64>,
        /// Print one JSON value
        #[arg(long)]
        json: bool,
    },
}

/// What to stream and where to.
#[derive(Args)]
pub struct Listen {
    /// Where to post the events
    #[arg(long, value_name = "URL")]
    pub forward_to: String,
    /// API key; its events are streamed
    #[arg(long, env = "TIELINE_KEY", hide_env_values = true)]
    pub key: String,
    /// The server; by default the one of the settings
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// Names of events, comma-separated; all by default
    #[arg(long, value_delimiter = ',')]
    pub events: Vec<String>,
    /// Secret to sign with; made and printed when none is given
    #[arg(long, value_name = "whsec_…")]
    pub secret: Option<String>,
}

/// A documented API.
#[derive(Clone, Copy, ValueEnum)]
pub enum Api {
    /// The native one
    V1,
    /// Atteny's
    Atteny,
    /// That of the API inbox
    Chatwoot,
}

/// Limits with a name.
#[derive(Clone, Copy, ValueEnum)]
pub enum Tier {
    /// 60 a minute
    Starter,
    /// 300 a minute
    Professional,
    /// 1000 a minute
    Enterprise,
}

/// A partition.
#[derive(Clone, Copy, ValueEnum)]
pub enum Mode {
    /// The real one
    Live,
    /// The sandbox
    Test,
}

/// What keys start with.
#[derive(Clone, Copy, ValueEnum)]
pub enum Prefix {
    /// sa_live_, sa_test_
    Sa,
    /// sk_live_, sk_test_
    Sk,
}

/// What a user may do.
#[derive(Clone, Copy, ValueEnum)]
pub enum Role {
    /// Everything
    Owner,
    /// Everything but what is the owner's
    Admin,
    /// Work on conversations
    Agent,
}
