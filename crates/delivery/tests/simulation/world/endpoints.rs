//! The endpoints of a run: made, changed, switched off and deleted while it goes on.

use super::World;
use crate::network::{Behaviour, SECOND};
use tieline_core::conversations::channel::Channel;
use tieline_core::ids::EndpointId;
use tieline_core::inboxes::{self, Hook};
use tieline_core::secrets::Keyring;
use tieline_core::webhooks::{self, CreateEndpoint, Format, RotateSecret, UpdateEndpoint};
use tieline_core::{Kind, Result};
use tieline_delivery::{SECRET_CONTEXT, sign};

/// Attempts that a delivery has: of the account's endpoints as they are made here, of an inbox's own as the schedule goes.
pub const MAX_ATTEMPTS: i64 = 6;

/// A signing secret, sealed.
fn sealed(byte: u8) -> Vec<u8> {
    let secret = sign::generate_secret([byte; 32]);
    Keyring::from_bytes([7; 32]).seal(secret.as_bytes(), SECRET_CONTEXT, [3; 12]).expect("seals")
}

impl World {
    /// The inbox in which conversations land, with an address of its own.
    pub(super) async fn create_inbox(&mut self) {
        let format = if self.rng.chance(70) { Format::Chatwoot } else { Format::Native };
        let hook = Hook {
            url: "https://inbox.example/hook".into(),
            format,
            header_prefix: "X-Tieline".into(),
            secret: sealed(99),
            secret_prefix: "whsec_".into(),
        };
        let cmd = inboxes::Create {
            name: "Post".into(),
            channel: Channel::Email,
            team: None,
            hook: Some(hook),
            identifier: None,
            identity_key: None,
            is_auto_assigned: false,
        };
        let ctx = self.ctx();
        let made = self.db.write(move |tx| inboxes::create(tx, &ctx, &cmd)).await.expect("an inbox");
        let (endpoint, _) = made.inbox.webhook.expect("its own");
        self.endpoints.push(endpoint);
        self.misbehave(endpoint);
    }

    pub(super) async fn create_endpoint(&mut self) {
        let format = if self.rng.chance(30) { Format::Chatwoot } else { Format::Native };
        self.add_endpoint(format).await;
    }

    pub(super) async fn add_endpoint(&mut self, format: Format) {
        let wanted: &[&str] = match format {
            Format::Native if !self.rng.chance(70) => &["conversation.updated"],
            _ => &["*"],
        };
        let cmd = CreateEndpoint {
            name: "receiver".into(),
            description: None,
            url: "https://receiver.example/hook".into(),
            events: wanted.iter().map(|name| (*name).to_owned()).collect(),
            format,
            header_prefix: "X-Tieline".into(),
            max_attempts: MAX_ATTEMPTS,
            inboxes: None,
            secret: sealed(self.endpoints.len() as u8),
            secret_prefix: "whsec_".into(),
        };
        let ctx = self.ctx();
        match self.db.write(move |tx| webhooks::create(tx, &ctx, &cmd)).await {
            Ok(endpoint) => {
                self.endpoints.push(endpoint.id);
                self.misbehave(endpoint.id);
            }
            // Or made without our learning of it: then it is nobody's to check.
            Err(error) => assert!(error.kind == Kind::Unavailable, "{error:?}"),
        }
    }

    pub(super) fn misbehave(&mut self, endpoint: EndpointId) {
        use Behaviour::*;
        let until = self.clock.now() + self.rng.between(SECOND, 400 * SECOND);
        let behaviours = [
            Healthy,
            Healthy,
            Healthy,
            Refusing,
            Flapping,
            Hanging,
            RetryAfter,
            Trickling,
            LosingAnswers,
            DownUntil(until),
            Choosy,
            Choosy,
            Gone,
        ];
        let behaviour = *self.rng.pick(&behaviours);
        self.shared.network.lock().unwrap().behaviours.insert(endpoint, behaviour);
    }

    pub(super) async fn change_endpoint(&mut self) {
        let endpoint = *self.rng.pick(&self.endpoints);
        let ctx = self.ctx();
        let what = self.rng.below(10);
        if what < 8 {
            self.interrupted.insert(endpoint);
        }
        if what == 0 {
            self.deleted.insert(endpoint);
        }
        self.taken_back.insert(endpoint, self.clock.now());
        let done: Result<()> = self
            .db
            .write(move |tx| match what {
                0 => webhooks::delete(tx, &ctx, endpoint),
                1..=7 => {
                    let cmd = UpdateEndpoint { is_active: Some(what > 3), ..UpdateEndpoint::default() };
                    webhooks::update(tx, &ctx, endpoint, &cmd).map(drop)
                }
                _ => {
                    let (secret, secret_prefix) = (sealed(what as u8), "whsec_".into());
                    let cmd = RotateSecret { id: endpoint, secret, secret_prefix, overlap_us: 60 * SECOND };
                    webhooks::rotate(tx, &ctx, &cmd).map(drop)
                }
            })
            .await;
        drop(done); // refused or not: either may have happened
    }
}
