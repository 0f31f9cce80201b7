//! `tieline tenant create|update`.

use super::{print_either, text};
use crate::admin::{self, Request};
use crate::cli::Tenant;
use crate::config::Settings;

/// Makes or changes a tenant, and prints it.
pub async fn run(settings: &Settings, command: Tenant) -> anyhow::Result<()> {
    let (request, json, done) = match command {
        Tenant::Create(args) => {
            let json = args.json;
            (Request::CreateTenant(args.into()), json, "Made")
        }
        Tenant::Update(args) => {
            let json = args.json;
            (Request::UpdateTenant(args.into()), json, "Changed")
        }
    };
    let tenant = admin::perform(settings, request).await?;
    print_either(json, &tenant, |tenant| {
        format!("{done} tenant {} ({}), account {}.", text(tenant, "slug"), text(tenant, "name"), tenant["accountId"])
    })
}
