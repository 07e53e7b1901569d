//! The suite finds the faults that it is there to find.

use std::ops::Range;

use async_trait::async_trait;

use super::*;
use crate::{Reader, Watch};

/// A sink with a fault.
#[derive(Clone)]
struct Faulty {
    memory: Memory,
    fault: Fault,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    KeepsWhateverComes,
    VouchesForAnything,
    ForgetsChildren,
}

#[async_trait]
impl Sink for Faulty {
    fn place(&self) -> String {
        "a faulty sink".into()
    }

    async fn contains(&self, what: &Descriptor) -> Result<bool, ContentError> {
        match self.fault {
            Fault::VouchesForAnything => Ok(true),
            Fault::ForgetsChildren => Ok(self.memory.get(&what.digest).is_some()),
            Fault::KeepsWhateverComes => self.memory.contains(what).await,
        }
    }

    async fn put(
        &self,
        what: &Descriptor,
        source: Arc<dyn Source>,
        watch: Arc<dyn Watch>,
    ) -> Result<(), ContentError> {
        if self.fault != Fault::KeepsWhateverComes {
            return self.memory.put(what, source, watch).await;
        }
        let mut reader = source.open(what, 0..what.size).await?;
        let mut all = BytesMut::new();
        while let Some(Ok(chunk)) = reader.bytes.next().await {
            all.extend_from_slice(&chunk);
        }
        self.memory.insert_as(what.digest.clone(), all.freeze());
        Ok(())
    }
}

#[async_trait]
impl Source for Faulty {
    fn place(&self) -> String {
        "a faulty sink".into()
    }

    async fn open(&self, what: &Descriptor, range: Range<u64>) -> Result<Reader, ContentError> {
        self.memory.open(what, range).await
    }
}

fn faulty(fault: Fault) -> Place {
    let faulty = Arc::new(Faulty {
        memory: Memory::new(),
        fault,
    });
    Place::new(Arc::<Faulty>::clone(&faulty), faulty)
}

#[tokio::test]
#[should_panic(expected = "a wrong byte at 0 was accepted")]
async fn finds_a_sink_that_does_not_verify() {
    refuses_other_bytes(&faulty(Fault::KeepsWhateverComes)).await;
}

#[tokio::test]
#[should_panic(expected = "what does not match its descriptor was accepted")]
async fn finds_a_sink_that_does_not_count() {
    refuses_too_few_and_too_many_bytes(&faulty(Fault::KeepsWhateverComes)).await;
}

#[tokio::test]
#[should_panic(expected = "a broken source went unnoticed")]
async fn finds_a_sink_that_keeps_half() {
    survives_a_source_that_breaks(&faulty(Fault::KeepsWhateverComes)).await;
}

#[tokio::test]
#[should_panic(expected = "a manifest went in without")]
async fn finds_a_sink_that_takes_orphans() {
    takes_parents_after_their_children(&faulty(Fault::KeepsWhateverComes)).await;
}

#[tokio::test]
#[should_panic(expected = "an empty place says that it has something")]
async fn finds_a_sink_that_vouches_for_anything() {
    keeps_what_it_is_given(&faulty(Fault::VouchesForAnything)).await;
}

#[tokio::test]
#[should_panic(expected = "an index is here without its images")]
async fn finds_a_sink_that_forgets_children() {
    vouches_for_an_index_only_when_all_is_here(&faulty(Fault::ForgetsChildren)).await;
}
