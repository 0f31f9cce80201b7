//! What acts by itself: bots, webhooks and rules. They come switched off, because the other installation goes on to act, and
//! two that post the same to one receiver, or answer the same customer, do harm.

use super::read::{self, Known};
use super::{BOTS, Import, RULES, WEBHOOKS, told};
use serde_json::Value;
use tieline_api::chatwoot::imports as dialect;
use tieline_core::automations::Create;
use tieline_core::error::Error;
use tieline_core::{imports, inboxes, teams, users};
use tieline_wire::chatwoot::automation::trigger;

/// Codes of what there is no room for, and of what cannot be here.
const LEFT_OUT: [&str; 3] = ["webhook_limit_reached", "automation_limit_reached", "not_found"];

impl Import {
    /// Counts something as lost and says why.
    fn leave_out(&self, what: &'static str, name: &str, error: &Error) {
        self.lose(what);
        self.tell.line(format!("left out of {what}, {name:?}: {}", crate::admin::line(error)));
    }

    /// Whether an error concerns one thing only.
    fn concerns_one(error: &Error) -> bool {
        LEFT_OUT.contains(&error.code) || !error.fields.is_empty()
    }

    /// Bots of the account; those of the whole installation there are not the account's.
    pub(super) async fn bots(&self, known: &mut Known) -> anyhow::Result<()> {
        for bot in self.list_if_any("agent_bots").await? {
            let (Some(theirs), Some(name)) = (read::number(&bot["id"]), read::text(&bot["name"])) else { continue };
            if bot["system_bot"] == true {
                continue;
            }
            let (secret, url) = (bot["secret"].as_str(), read::text(&bot["outgoing_url"]));
            let (description, config) = (read::text(&bot["description"]), read::object(&bot["bot_config"]));
            let cmd = match dialect::bot(&self.hub, &name, description, url, config, secret).await {
                Ok(cmd) => cmd,
                Err(error) if Self::concerns_one(&error) => {
                    self.leave_out(BOTS, &name, &error);
                    continue;
                }
                Err(error) => return Err(told(error)),
            };
            let (ctx, origin) = (self.ctx.clone(), self.origin.clone());
            match self.hub.db.write(move |tx| imports::bot(tx, &ctx, &origin, theirs, &cmd)).await {
                Ok((id, taken)) => {
                    known.bots.insert(theirs, id);
                    self.count(BOTS, taken, 1);
                }
                Err(error) if Self::concerns_one(&error) => self.leave_out(BOTS, &name, &error),
                Err(error) => return Err(told(error)),
            }
        }
        Ok(())
    }

    /// Webhooks of the account.
    pub(super) async fn webhooks(&self, known: &Known) -> anyhow::Result<()> {
        let answer = self.client.find(&format!("{}/webhooks", self.base)).await?.unwrap_or_default();
        for hook in answer["payload"]["webhooks"].as_array().unwrap_or(&Vec::new()) {
            let (Some(theirs), Some(url)) = (read::number(&hook["id"]), read::text(&hook["url"])) else { continue };
            let name = read::text(&hook["name"]).unwrap_or_default();
            let words: Vec<&str> =
                hook["subscriptions"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let inbox = read::number(&hook["inbox"]["id"]).and_then(|id| known.inboxes.get(&id)).copied();
            let made = dialect::webhook(&self.hub, &name, &url, &words, hook["secret"].as_str(), inbox).await;
            let taken = match made {
                Ok(cmd) => {
                    let (ctx, origin) = (self.ctx.clone(), self.origin.clone());
                    self.hub.db.write(move |tx| imports::webhook(tx, &ctx, &origin, theirs, &cmd)).await
                }
                Err(error) => Err(error),
            };
            match taken {
                Ok(taken) => self.count(WEBHOOKS, taken, 1),
                Err(error) if Self::concerns_one(&error) => self.leave_out(WEBHOOKS, &url, &error),
                Err(error) => return Err(told(error)),
            }
        }
        Ok(())
    }

    /// Automation rules, in the numbers of what is here.
    pub(super) async fn rules(&self, known: &Known) -> anyhow::Result<()> {
        for rule in self.list_if_any("automation_rules").await? {
            let Some(theirs) = read::number(&rule["id"]) else { continue };
            let name = read::text(&rule["name"]).unwrap_or_else(|| format!("Rule {theirs}"));
            let Some(trigger) = rule["event_name"].as_str().and_then(trigger) else {
                let unknown =
                    Error::field("/event_name", "unsupported", format!("{} starts no rule.", rule["event_name"]));
                self.leave_out(RULES, &name, &unknown);
                continue;
            };
            let (ctx, origin, known) = (self.ctx.clone(), self.origin.clone(), known.clone());
            let (called, described) = (name.chars().take(255).collect::<String>(), read::text(&rule["description"]));
            let made = self.hub.db.write(move |tx| {
                imports::rule(tx, &ctx, &origin, theirs, |tx| {
                    // The users are those of the tenant itself: nothing is taken over into its test partition.
                    let tenant = ctx.tenant;
                    let (conditions, actions) =
                        dialect::renumber(&rule["conditions"], &rule["actions"], |kind, number| {
                            let found = match kind {
                                "inbox" => {
                                    known.inboxes.get(&number).map(|id| inboxes::get(tx, tenant, *id).map(|i| i.number))
                                }
                                "team" => {
                                    known.teams.get(&number).map(|id| teams::get(tx, tenant, *id).map(|t| t.number))
                                }
                                _ => known.users.get(&number).map(|id| users::get(tx, tenant, *id).map(|u| u.number)),
                            };
                            found.transpose()
                        })?;
                    let (branches, spelling) = dialect::rule(tx, tenant, tenant, &conditions, &actions)?;
                    let (name, description) = (called.clone(), described.clone());
                    Ok(Create { name, description, trigger, branches, spelling, is_active: false })
                })
            });
            match made.await {
                Ok(taken) => self.count(RULES, taken, 1),
                Err(error) if Self::concerns_one(&error) => self.leave_out(RULES, &name, &error),
                Err(error) => return Err(told(error)),
            }
        }
        Ok(())
    }
}
