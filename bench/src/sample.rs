//! The request that is measured: about 700 bytes, a customer of 50,000, a message, tags and fields.

/// Customers that write.
pub const CUSTOMERS: u64 = 50_000;

/// Subject of every conversation.
pub const SUBJECT: &str = "Where is my parcel?";
/// First message of every conversation.
pub const TEXT: &str =
    "Hello, the parcel was promised for Tuesday and the tracking page has not moved since. Can you check?";
/// Free-form data of every conversation.
pub const METADATA: &str = r#"{"campaignId":"spring-sale-2026","templateId":"delivery-delay-v3","channelMessageId":"0102018f6c2e7b1a-7c0c-000000"}"#;

/// Which customer writes conversation `n`.
pub fn customer(n: u64) -> u64 {
    n.wrapping_mul(2_654_435_761) % CUSTOMERS
}

/// The address of a customer.
pub fn email(customer: u64) -> String {
    format!("customer{customer}@shop.example")
}

/// The phone number of a customer.
pub fn phone(customer: u64) -> String {
    format!("+4860{customer:07}")
}

/// A request of `POST /v1/conversations/outbound`.
pub fn body(reference: &str, n: u64) -> String {
    let c = customer(n);
    format!(
        r#"{{"externalReference":"{reference}","channel":"email","subject":"{SUBJECT}","contact":{{"name":"Marta Kowalska","email":"{}","phone":"{}"}},"outboundContext":{{"originalMessage":"{TEXT}","sentAt":"2026-03-04T09:15:00Z","metadata":{METADATA}}},"tags":["delivery","vip"],"customFields":{{"orderId":"{n}","carrier":"inpost","priority":2}}}}"#,
        email(c),
        phone(c)
    )
}
