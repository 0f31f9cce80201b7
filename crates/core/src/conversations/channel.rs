//! Kinds of transport a conversation runs over: Atender's eight (contract A5) and two of ours, `api` and `instagram`
//! (contract D3.8). The words are stored and spoken on the wire alike.

use std::fmt;

/// A kind of transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// E-mail; what a request that names none gets.
    #[default]
    Email,
    /// Facebook Messenger.
    Messenger,
    /// Text messages.
    Sms,
    /// Calls, as a record of them.
    Phone,
    /// Calls, live.
    Voice,
    /// WhatsApp.
    Whatsapp,
    /// The chat window of a site.
    Webchat,
    /// Amazon's buyer messages.
    Amazon,
    /// A system of the integrator's own; its archived conversations reopen, because bridges cache their numbers.
    Api,
    /// Instagram.
    Instagram,
}

impl Channel {
    /// All of them, in the order of the documents.
    pub const ALL: [Channel; 10] = [
        Channel::Email,
        Channel::Messenger,
        Channel::Sms,
        Channel::Phone,
        Channel::Voice,
        Channel::Whatsapp,
        Channel::Webchat,
        Channel::Amazon,
        Channel::Api,
        Channel::Instagram,
    ];

    /// The stored and spoken word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Channel::Email => "email",
            Channel::Messenger => "messenger",
            Channel::Sms => "sms",
            Channel::Phone => "phone",
            Channel::Voice => "voice",
            Channel::Whatsapp => "whatsapp",
            Channel::Webchat => "webchat",
            Channel::Amazon => "amazon",
            Channel::Api => "api",
            Channel::Instagram => "instagram",
        }
    }

    /// The channel of a word; `None` for any other text, also in capitals.
    pub fn from_text(text: &str) -> Option<Channel> {
        Channel::ALL.into_iter().find(|channel| channel.as_str() == text)
    }

    /// What people call it.
    pub const fn display_name(self) -> &'static str {
        match self {
            Channel::Email => "E-mail",
            Channel::Messenger => "Messenger",
            Channel::Sms => "SMS",
            Channel::Phone => "Phone",
            Channel::Voice => "Voice",
            Channel::Whatsapp => "WhatsApp",
            Channel::Webchat => "Web chat",
            Channel::Amazon => "Amazon",
            Channel::Api => "API",
            Channel::Instagram => "Instagram",
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_has_its_own_word_and_name() {
        let words = Channel::ALL.map(Channel::as_str);
        assert_eq!(words.join(" "), "email messenger sms phone voice whatsapp webchat amazon api instagram");
        for channel in Channel::ALL {
            assert_eq!(Channel::from_text(channel.as_str()), Some(channel));
            let letters: String = channel.display_name().chars().filter(char::is_ascii_alphabetic).collect();
            assert_eq!(letters.to_ascii_lowercase(), channel.as_str());
        }
        for unknown in ["", "Email", "telegram", "email "] {
            assert_eq!(Channel::from_text(unknown), None);
        }
        assert_eq!(Channel::default(), Channel::Email);
    }
}
