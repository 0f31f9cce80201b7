//! Files in a bucket, over a real socket to another program that speaks S3, which `tests/verifiers/setup.sh` installs.

use bytes::Bytes;
use futures::TryStreamExt;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tieline_core::Kind;
use tieline_core::attachments::link::{DEFAULT_TTL_US, Links};
use tieline_core::ids::{AttachmentId, TenantId};
use tieline_core::secrets::Keyring;
use tieline_delivery::files::{Bucket, Files, Written};

/// The store, ended with the test.
struct Store {
    process: Child,
    endpoint: String,
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Store {
    fn start() -> Store {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/verifiers/.venv/bin/python");
        let mut process = Command::new(program)
            .args(["-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the store is installed by tests/verifiers/setup.sh");
        let mut lines = BufReader::new(process.stderr.take().expect("it is piped")).lines();
        let endpoint = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.split_once("Running on ").map(|(_, address)| address.trim().to_owned()))
            .expect("it says where it listens");
        // Read on, so that it never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        Store { process, endpoint }
    }

    fn bucket(&self, name: &str) -> Bucket {
        Bucket {
            name: name.into(),
            prefix: "desk".into(),
            endpoint: Some(self.endpoint.clone()),
            region: "us-east-1".into(),
            access_key_id: "who".into(),
            secret_access_key: "hush".into(),
        }
    }

    async fn make(&self, name: &str) {
        let made = reqwest::Client::new().put(format!("{}/{name}", self.endpoint)).send().await.expect("it answers");
        assert!(made.status().is_success(), "{made:?}");
    }
}

fn links() -> Links {
    Links::new(&Keyring::from_bytes([7; 32]), "http://tieline.test", DEFAULT_TTL_US)
}

async fn all(files: &Files, id: AttachmentId, range: Option<std::ops::Range<u64>>) -> Vec<u8> {
    let stream = files.read(TenantId(1), id, range).await.expect("it is there");
    let parts: Vec<Bytes> = stream.try_collect().await.expect("it can be read");
    parts.concat()
}

#[tokio::test]
async fn files_live_in_a_bucket() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let store = Store::start();
    let missing = Files::bucket(&store.bucket("nowhere"), links()).await.expect_err("there is no such bucket");
    assert!(missing.contains("NoSuchBucket"), "{missing}");
    store.make("files").await;
    let bucket = store.bucket("files");
    bucket.check().await.expect("it is there now");
    let files = Files::bucket(&bucket, links()).await.expect("opens");
    let (tenant, id) = (TenantId(1), AttachmentId::from_uuid(uuid::Uuid::from_u128(5)));

    // Larger than one part, in pieces that fit no part.
    let bytes: Vec<u8> = (0..11_000_003u32).map(|n| (n % 251) as u8).collect();
    let mut writing = files.create(tenant, id).await.expect("begins");
    for piece in bytes.chunks(70_001) {
        writing.write(Bytes::copy_from_slice(piece)).await.expect("is taken");
    }
    let unseen = files.read(tenant, id, None).await.err().expect("half a file is no file");
    assert_eq!(unseen.kind, Kind::NotFound);
    let Written { size, head } = writing.finish().await.expect("ends");
    assert_eq!((size, &head[..]), (bytes.len() as u64, &bytes[..head.len()]));
    assert!(all(&files, id, None).await == bytes, "the same bytes");
    assert_eq!(all(&files, id, Some(10_000_000..10_000_003)).await, &bytes[10_000_000..10_000_003]);

    // Another node, another prefix.
    let node = Files::bucket(&bucket, links()).await.expect("opens");
    assert_eq!(all(&node, id, Some(0..2)).await, [0, 1]);
    let other = Bucket { prefix: "elsewhere".into(), ..bucket };
    let other = Files::bucket(&other, links()).await.expect("opens");
    assert_eq!(other.read(tenant, id, None).await.err().expect("not here").kind, Kind::NotFound);

    node.remove(tenant, id).await.expect("goes");
    assert_eq!(files.read(tenant, id, None).await.err().expect("gone").kind, Kind::NotFound);
    files.remove(tenant, id).await.expect("is gone already");
    assert_eq!(files.clear_abandoned(std::time::Duration::ZERO).await.expect("nothing to do"), 0);
}

#[tokio::test]
async fn a_store_that_is_away_is_said_so() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let store = Store::start();
    store.make("files").await;
    let files = Files::bucket(&store.bucket("files"), links()).await.expect("opens");
    drop(store);
    let error = files.read(TenantId(1), AttachmentId::from_uuid(uuid::Uuid::nil()), None).await.err().expect("away");
    assert_eq!((error.kind, error.code), (Kind::Unavailable, "unavailable"));
}
