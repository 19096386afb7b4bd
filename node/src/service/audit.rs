//! Audit bundles for HTTP: written on a blocking thread, handed over in parts.

use super::{Inner, Service, ServiceError, read, write};
use crate::driver::now_ms;
use crate::export::{
    Audience, Beginning, Compressed, Export, ExportError, Held, Holder, OtherBeginning, Portion,
};
use hashpact_protocol::bundle::{Scope, WriteError};
use hashpact_protocol::digest::LogId;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Bytes of one part.
const PART_BYTES: usize = 256 * 1024;
/// Parts that wait for the network.
const PARTS_QUEUED_MAX: usize = 4;

/// What to export.
#[derive(Debug)]
pub struct AuditRequest {
    /// Which entries.
    pub scope: Scope,
    /// At which heads; the newest signed ones if none are given.
    pub at: Option<String>,
    /// When the export began; now if not given.
    pub begun_s: Option<u64>,
    /// For whom it is.
    pub audience: Audience,
    /// Whether the plain archive is asked for.
    pub is_archive: bool,
    /// What the caller has of the archive; what follows it is sent.
    pub beginning: Beginning,
}

/// A bundle that is being written.
pub struct AuditStream {
    /// Its heads in text.
    pub heads: String,
    /// When it began.
    pub begun_s: u64,
    /// Digest of its core.
    pub core: [u8; 32],
    /// Bytes of the whole archive; known when a part of it is asked for.
    pub total: Option<u64>,
    /// Its bytes, or the error that ends it.
    pub parts: mpsc::Receiver<io::Result<Vec<u8>>>,
}

impl Service {
    /// From now on bundles can be exported.
    pub fn set_holder(&self, holder: Holder) {
        *write(&self.inner.holder) = Some(Arc::new(holder));
    }

    /// Starts to write a bundle.
    ///
    /// # Errors
    /// The node is not ready, the heads asked for are not held, or storage failed.
    pub async fn audit_export(&self, request: AuditRequest) -> Result<AuditStream, ServiceError> {
        let (sender, parts) = mpsc::channel(PARTS_QUEUED_MAX);
        let begun_s = request.begun_s.unwrap_or_else(|| now_ms() / 1000);
        let inner = Arc::clone(&self.inner);
        let (heads, core, total, request) = self
            .blocking(move |inner| {
                let (holder, held) = (inner.holder()?, inner.held_logs());
                let export = inner.export(&holder, &held, &request, begun_s)?;
                let begun = request.beginning;
                let total = if begun.len > 0 { Some(length(&export, begun)?) } else { None };
                // The heads are settled here; what is written below must be of these and no later ones.
                let heads = export.at();
                Ok((heads, export.manifest().core_digest(), total, request))
            })
            .await?;
        let at = AuditRequest { at: Some(heads.clone()), ..request };
        tokio::task::spawn_blocking(move || {
            let mut parts = Parts { sender, held: Vec::with_capacity(PART_BYTES) };
            if let Err(error) = inner.write_audit(&at, begun_s, &mut parts) {
                tracing::warn!(%error, "an audit export broke off");
                let _ = parts.sender.blocking_send(Err(io::Error::other("the export broke off")));
            }
        });
        Ok(AuditStream { heads, begun_s, core, total, parts })
    }
}

impl Inner {
    /// Who exports, once the logs are loaded.
    fn holder(&self) -> Result<Arc<Holder>, ServiceError> {
        let holder = read(&self.holder).clone();
        let holder = holder.filter(|_| self.lookup.is_loaded()).ok_or(ServiceError::Loading)?;
        if holder.card.is_none() {
            return Err(ServiceError::ReadReplica("signs no audit bundle: ask the author's node"));
        }
        Ok(holder)
    }

    fn export<'a>(
        &'a self,
        holder: &'a Holder,
        held: &'a BTreeMap<LogId, Held>,
        request: &AuditRequest,
        begun_s: u64,
    ) -> Result<Export<'a>, ServiceError> {
        let at = request.at.as_deref();
        let scope = request.scope.clone();
        Ok(Export::new(&self.store, holder, held, scope, &request.audience, at, begun_s)?)
    }

    fn write_audit(&self, request: &AuditRequest, begun_s: u64, parts: &mut Parts) -> anyhow::Result<()> {
        let (holder, held) = (self.holder()?, self.held_logs());
        let export = self.export(&holder, &held, request, begun_s)?;
        let now_s = || now_ms() / 1000;
        if request.is_archive {
            export.write(Portion::new(&mut *parts, request.beginning), now_s)?.into_inner().flush()?;
        } else {
            export.write(Compressed::new(&mut *parts)?, now_s)?.finish()?;
        }
        Ok(())
    }

    /// What may be seen of each log, with the notes that are kept of it.
    fn held_logs(&self) -> BTreeMap<LogId, Held> {
        let heads = self.store.published_all().into_iter();
        heads
            .map(|head| {
                let notes = Vec::from_iter(head.note);
                (head.log, Held { origin: head.origin, size: head.size, notes })
            })
            .collect()
    }
}

/// Bytes of the archive, by writing it to nowhere; it must begin with what the caller has.
fn length(export: &Export<'_>, beginning: Beginning) -> Result<u64, ServiceError> {
    let written = export.write(Portion::new(io::sink(), beginning), || now_ms() / 1000);
    written.map(|portion| portion.seen).map_err(|error| match error {
        ExportError::Write(WriteError::Sink(cause))
            if cause.get_ref().is_some_and(|cause| cause.is::<OtherBeginning>()) =>
        {
            ServiceError::OtherBeginning(OtherBeginning)
        }
        error => ServiceError::Export(error.to_string()),
    })
}

/// Collects small writes to parts for the network.
struct Parts {
    sender: mpsc::Sender<io::Result<Vec<u8>>>,
    held: Vec<u8>,
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        if self.held.len() >= PART_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let part = std::mem::replace(&mut self.held, Vec::with_capacity(PART_BYTES));
        // Whoever asked may be gone.
        self.sender.blocking_send(Ok(part)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
