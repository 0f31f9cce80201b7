//! `tieline user create`.

use super::{print_either, text, word};
use crate::admin::{self, Request};
use crate::cli::User;
use crate::config::Settings;

/// Makes a user and prints the access token, this once.
pub async fn run(settings: &Settings, command: User) -> anyhow::Result<()> {
    let User::Create { tenant, email, name, role, password, json } = command;
    let request = Request::CreateUser { tenant, email, name, role: word(role), password };
    let user = admin::perform(settings, request).await?;
    print_either(json, &user, |user| {
        let (email, token, account) = (text(user, "email"), text(user, "accessToken"), text(user, "accountId"));
        format!("Made user {email} of account {account}.\nAccess token, shown this once: {token}")
    })
}
