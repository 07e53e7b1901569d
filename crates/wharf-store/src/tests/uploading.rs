//! Uploads to the registry server.

use bytes::Bytes;
use futures_util::stream;
use wharf_core::Digest;

use super::{World, noise};
use crate::{CollectOptions, Store, UploadError};

fn chunks(
    bytes: &Bytes,
) -> impl futures_util::Stream<Item = Result<Bytes, std::io::Error>> + Unpin + use<> {
    let chunks: Vec<_> = bytes
        .chunks(10_000)
        .map(|c| Ok(Bytes::copy_from_slice(c)))
        .collect();
    stream::iter(chunks)
}

#[tokio::test]
async fn becomes_a_blob_in_pieces_and_by_several_processes() {
    let world = World::new();
    let bytes = noise(1, 700_000);
    let id = world.store.uploads().begin().unwrap();
    let uploads = world.store.uploads();
    let first = uploads.append(&id, Some(0), chunks(&bytes.slice(..300_000)));
    assert_eq!(first.await.unwrap(), 300_000);
    // Another process goes on: all it has is the ID.
    let other = Store::open(&world.root()).unwrap();
    assert_eq!(other.uploads().len(&id).unwrap(), 300_000);
    let uploads = other.uploads();
    let rest = uploads.append(&id, None, chunks(&bytes.slice(300_000..)));
    assert_eq!(rest.await.unwrap(), 700_000);
    let lease = other.lease().unwrap();
    let digest = Digest::of(&bytes);
    assert_eq!(
        other.uploads().finish(&id, &digest, &lease).await.unwrap(),
        700_000
    );
    assert_eq!(std::fs::read(world.blob_path(&digest)).unwrap(), bytes);
    assert_eq!(
        world.store.read(|rows| rows.blob_size(&digest)).unwrap(),
        Some(700_000)
    );
    assert!(matches!(
        other.uploads().len(&id),
        Err(UploadError::Unknown(_))
    ));
    assert_eq!(
        world
            .store
            .collect(CollectOptions::EVERYTHING)
            .unwrap()
            .freed
            .blobs,
        0,
        "the lease holds it"
    );
}

#[tokio::test]
async fn refuses_bytes_out_of_order() {
    let world = World::new();
    let uploads = world.store.uploads();
    let id = uploads.begin().unwrap();
    uploads
        .append(&id, Some(0), chunks(&noise(1, 5)))
        .await
        .unwrap();
    let error = uploads
        .append(&id, Some(7), chunks(&noise(1, 5)))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            UploadError::Offset {
                length: 5,
                offset: 7
            }
        ),
        "{error}"
    );
    assert_eq!(uploads.len(&id).unwrap(), 5);
}

#[tokio::test]
async fn keeps_what_came_before_the_connection_broke() {
    let world = World::new();
    let uploads = world.store.uploads();
    let id = uploads.begin().unwrap();
    let broken = [
        Ok(noise(1, 9)),
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
    ];
    let error = uploads
        .append(&id, None, stream::iter(broken))
        .await
        .unwrap_err();
    assert!(matches!(error, UploadError::Interrupted(_)), "{error}");
    assert_eq!(uploads.len(&id).unwrap(), 9);
}

#[tokio::test]
async fn wrong_bytes_are_thrown_away() {
    let world = World::new();
    let uploads = world.store.uploads();
    let id = uploads.begin().unwrap();
    uploads
        .append(&id, None, chunks(&noise(1, 100)))
        .await
        .unwrap();
    let lease = world.store.lease().unwrap();
    let expected = Digest::of(b"something else");
    let error = uploads.finish(&id, &expected, &lease).await.unwrap_err();
    assert!(matches!(error, UploadError::Digest { .. }), "{error}");
    assert!(matches!(uploads.len(&id), Err(UploadError::Unknown(_))));
    assert_eq!(
        world.store.read(|rows| rows.blob_size(&expected)).unwrap(),
        None
    );
}

#[tokio::test]
async fn one_request_at_a_time() {
    let world = World::new();
    let uploads = world.store.uploads();
    let id = uploads.begin().unwrap();
    let stalled = uploads.append(
        &id,
        None,
        stream::pending::<Result<Bytes, std::io::Error>>(),
    );
    let other = async {
        // The first one has begun: a future is polled in the order that it's given in.
        uploads.append(&id, None, chunks(&noise(1, 5))).await
    };
    tokio::select! {
        biased;
        _ = stalled => panic!("nothing ends it"),
        result = other => assert!(matches!(result, Err(UploadError::Busy(_))), "{result:?}"),
    }
}

#[test]
fn an_id_is_no_path() {
    let world = World::new();
    let long = format!("{:0>32}", "../x");
    for id in ["", "../../wharf.db", "0", &long, &"0".repeat(32)] {
        assert!(
            matches!(world.store.uploads().len(id), Err(UploadError::Unknown(_))),
            "{id}"
        );
    }
    let id = world.store.uploads().begin().unwrap();
    world.store.uploads().cancel(&id).unwrap();
    assert!(matches!(
        world.store.uploads().cancel(&id),
        Err(UploadError::Unknown(_))
    ));
}

#[tokio::test]
async fn a_collection_leaves_an_upload_alone_for_a_day() {
    let world = World::new();
    let uploads = world.store.uploads();
    let id = uploads.begin().unwrap();
    uploads
        .append(&id, None, chunks(&noise(1, 5000)))
        .await
        .unwrap();
    world.store.collect(CollectOptions::EVERYTHING).unwrap();
    assert_eq!(uploads.len(&id).unwrap(), 5000);
    let path = world.root().join("ingest").join(format!("upload-{id}"));
    let old = std::time::SystemTime::now() - std::time::Duration::from_hours(25);
    std::fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(old)
        .unwrap();
    assert_eq!(
        world
            .store
            .collect(CollectOptions::EVERYTHING)
            .unwrap()
            .partial
            .blobs,
        1
    );
    assert!(matches!(uploads.len(&id), Err(UploadError::Unknown(_))));
}
