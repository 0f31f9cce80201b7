//! Statements over `surveys`. Who answers knows the conversation's id alone, so that is looked up across tenants.

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select tenant_id, conversation_id, message_id, rating, feedback, asked_at, answered_at from surveys ",
            $rest
        )
    };
}

pub const BY_CONVERSATION: &str = select!("where conversation_id = $1");
pub const OPEN: &str = "insert into surveys (conversation_id, tenant_id, message_id, asked_at) values ($1, $2, $3, $4) \
     on conflict (conversation_id) do update set message_id = $3, asked_at = $4";
pub const ANSWER: &str = "update surveys set rating = $3, feedback = $4, answered_at = $5 \
     where tenant_id = $1 and conversation_id = $2";
pub const DELETE: &str = "delete from surveys where tenant_id = $1 and conversation_id = $2";
