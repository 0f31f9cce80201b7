//! Where the bytes of attachments are: an object store behind a small handle.
//!
//! Keys are `<tenant>/<attachment id>`, never a stranger's name. Bytes are streamed, in memory is one part at a time. A file
//! is there whole or not at all: its parts go to a place of their own until the last is written and synced. What a process
//! that died left there is removed by [`Files::clear_abandoned`]. One node keeps them in a folder; several share a folder, or
//! a bucket of a store that speaks S3.

use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::prefix::PrefixStore;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, RetryConfig, WriteMultipart};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tieline_core::attachments::kind::HEAD_BYTES;
use tieline_core::attachments::link::Links;
use tieline_core::ids::{AttachmentId, TenantId};
use tieline_core::{Error, Kind, Result};

/// Largest file, bytes, where the operator says nothing else.
pub const DEFAULT_MAX_BYTES: u64 = 25 * 1024 * 1024;
/// Bytes of a part in a folder: what of one file is in memory on its way.
const PART_BYTES: usize = 256 * 1024;
/// Bytes of a part in a bucket: S3 takes none that is smaller, but for the last.
const BUCKET_PART_BYTES: usize = 5 * 1024 * 1024;
/// How often a bucket is asked again for one thing, and for how long at most.
const TRIES: usize = 3;
const ASK_FOR: Duration = Duration::from_secs(20);
/// Parts being written at once.
const PARTS_AT_ONCE: usize = 2;
/// Age of a part's file that nobody can be writing any more: no upload takes so long.
pub const ABANDONED_AFTER: Duration = Duration::from_hours(1);

/// The store, the links to what is in it, and its limits. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Files {
    store: Arc<dyn ObjectStore>,
    links: Arc<Links>,
    max_bytes: u64,
    part_bytes: usize,
    folder: Option<PathBuf>,
}

/// A bucket of a store that speaks S3, and how to get at it.
#[derive(Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// What the keys in it start with, without slashes around; may be empty.
    pub prefix: String,
    /// Address of the store, without the bucket; none for the one of Amazon in `region`.
    pub endpoint: Option<String>,
    /// Where it is; stores of others mostly ignore it.
    pub region: String,
    /// Who asks.
    pub access_key_id: String,
    /// What proves it.
    pub secret_access_key: String,
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s3://{}/{}", self.name, self.prefix)
    }
}

impl Bucket {
    /// Opens it and asks for something, so that a wrong name or key shows before the first file comes.
    async fn open(&self) -> object_store::Result<AmazonS3> {
        let builder = AmazonS3Builder::new()
            .with_bucket_name(&self.name)
            .with_region(&self.region)
            .with_access_key_id(&self.access_key_id)
            .with_secret_access_key(&self.secret_access_key)
            .with_retry(RetryConfig { max_retries: TRIES, retry_timeout: ASK_FOR, ..RetryConfig::default() });
        let store = match &self.endpoint {
            Some(endpoint) => {
                builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://")).build()?
            }
            None => builder.build()?,
        };
        store.list_with_delimiter(Some(&Key::from(format!("{}/0", self.prefix)))).await?;
        Ok(store)
    }

    /// Whether it can be asked.
    ///
    /// Errors: the store's own word.
    pub async fn check(&self) -> std::result::Result<(), String> {
        self.open().await.map(drop).map_err(|error| error.to_string())
    }
}

impl Files {
    /// Files in a local folder, which is made if need be. Every file is synced to disk before it counts as stored.
    ///
    /// Errors: the folder cannot be made or opened.
    pub fn local(folder: &Path, links: Links) -> std::io::Result<Files> {
        fs::create_dir_all(folder)?;
        let store = LocalFileSystem::new_with_prefix(folder).map_err(std::io::Error::other)?.with_fsync(true);
        let folder = Some(folder.to_owned());
        Ok(Files::over(Arc::new(store), links, PART_BYTES, folder))
    }

    /// Files in a bucket.
    ///
    /// Errors: the store's own word, where the bucket cannot be asked.
    pub async fn bucket(bucket: &Bucket, links: Links) -> std::result::Result<Files, String> {
        let store = bucket.open().await.map_err(|error| error.to_string())?;
        let store: Arc<dyn ObjectStore> = match bucket.prefix.as_str() {
            "" => Arc::new(store),
            prefix => Arc::new(PrefixStore::new(store, prefix)),
        };
        Ok(Files::over(store, links, BUCKET_PART_BYTES, None))
    }

    fn over(store: Arc<dyn ObjectStore>, links: Links, part_bytes: usize, folder: Option<PathBuf>) -> Files {
        Files { store, links: Arc::new(links), max_bytes: DEFAULT_MAX_BYTES, part_bytes, folder }
    }

    /// The same with another limit for one file, bytes.
    pub fn with_max_bytes(self, max_bytes: u64) -> Files {
        Files { max_bytes, ..self }
    }

    /// Largest file, bytes.
    pub fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// Makes and checks links to files.
    pub fn links(&self) -> &Arc<Links> {
        &self.links
    }

    /// Begins a file. Unless it is finished nothing of it stays.
    pub async fn create(&self, tenant: TenantId, id: AttachmentId) -> Result<Writing> {
        let upload = self.store.put_multipart(&key(tenant, id)).await.map_err(unavailable)?;
        let upload = WriteMultipart::new_with_chunk_size(upload, self.part_bytes);
        let (part_bytes, max_bytes) = (self.part_bytes, self.max_bytes);
        Ok(Writing { upload, part: BytesMut::new(), part_bytes, head: Vec::new(), size: 0, max_bytes })
    }

    /// The bytes of a file, all or a range.
    ///
    /// Errors: `not_found`; `unavailable` when the store cannot be read.
    pub async fn read(
        &self,
        tenant: TenantId,
        id: AttachmentId,
        range: Option<Range<u64>>,
    ) -> Result<BoxStream<'static, std::io::Result<Bytes>>> {
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        match self.store.get_opts(&key(tenant, id), options).await {
            Ok(found) => Ok(found.into_stream().map_err(std::io::Error::other).boxed()),
            Err(object_store::Error::NotFound { .. }) => Err(Error::not_found("file")),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Removes a file; one that is not there is removed already.
    pub async fn remove(&self, tenant: TenantId, id: AttachmentId) -> Result<()> {
        match self.store.delete(&key(tenant, id)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Removes parts older than `age` that a process left when it died; how many. Only a local folder has any: other stores
    /// end what is abandoned by a rule of their own.
    pub async fn clear_abandoned(&self, age: Duration) -> Result<usize> {
        let Some(folder) = self.folder.clone() else { return Ok(0) };
        let cleared = tokio::task::spawn_blocking(move || clear_abandoned(&folder, age)).await;
        cleared.map_err(Error::internal)?.map_err(unavailable)
    }
}

fn key(tenant: TenantId, id: AttachmentId) -> Key {
    Key::from(format!("{}/{id}", tenant.0))
}

fn unavailable(source: impl std::error::Error + Send + Sync + 'static) -> Error {
    let detail = "Files cannot be stored or read just now: try again in a moment.";
    Error { source: Some(Box::new(source)), ..Error::new(Kind::Unavailable, "unavailable", detail) }
}

/// Parts lie beside their file as `<name>#<number>`.
fn clear_abandoned(folder: &Path, age: Duration) -> std::io::Result<usize> {
    let mut cleared = 0;
    for tenant in fs::read_dir(folder)? {
        let tenant = tenant?;
        if !tenant.file_type()?.is_dir() {
            continue;
        }
        for entry in fs::read_dir(tenant.path())? {
            let entry = entry?;
            let name = entry.file_name();
            let is_part = name
                .to_str()
                .and_then(|name| name.split_once('#'))
                .is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()));
            // One that ended meanwhile is gone: that is as good.
            let Some(written) = entry.metadata().ok().filter(|_| is_part).and_then(|found| found.modified().ok())
            else {
                continue;
            };
            if SystemTime::now().duration_since(written).unwrap_or_default() >= age {
                cleared += usize::from(fs::remove_file(entry.path()).is_ok());
            }
        }
    }
    Ok(cleared)
}

/// A file that is being written. Dropping it leaves nothing behind.
#[derive(Debug)]
pub struct Writing {
    upload: WriteMultipart,
    /// The part that is not full yet.
    part: BytesMut,
    part_bytes: usize,
    head: Vec<u8>,
    size: u64,
    max_bytes: u64,
}

/// A file that is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes.
    pub size: u64,
    /// Its first [`HEAD_BYTES`].
    pub head: Vec<u8>,
}

impl Writing {
    /// Adds bytes.
    ///
    /// Errors: `payload_too_large` past the limit; `unavailable` when the store cannot take them.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.size += bytes.len() as u64;
        if self.size > self.max_bytes {
            return Err(too_large(self.max_bytes));
        }
        let wanted = HEAD_BYTES.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..wanted]);
        // Copied into the part: a body's frames may be few bytes of a large buffer.
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(self.part_bytes - self.part.len()));
            self.part.extend_from_slice(now);
            rest = later;
            if self.part.len() == self.part_bytes {
                self.upload.wait_for_capacity(PARTS_AT_ONCE).await.map_err(unavailable)?;
                let part = std::mem::replace(&mut self.part, BytesMut::new());
                self.upload.put(part.freeze());
            }
        }
        Ok(())
    }

    /// Ends the file: from now on it is there.
    ///
    /// Errors: `validation_error` for an empty one; `unavailable`.
    pub async fn finish(mut self) -> Result<Written> {
        if self.size == 0 {
            return Err(Error::field("", "too_short", "The file is empty."));
        }
        self.upload.put(self.part.freeze());
        self.upload.finish().await.map_err(unavailable)?;
        Ok(Written { size: self.size, head: self.head })
    }
}

/// 413 with the limit in bytes.
pub fn too_large(max_bytes: u64) -> Error {
    Error::new(Kind::Invalid, "payload_too_large", format!("A file may have at most {max_bytes} bytes."))
}
