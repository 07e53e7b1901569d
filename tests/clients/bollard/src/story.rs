//! The steps, in their order.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Debug;
use std::io::Read as _;

use bollard::auth::DockerCredentials;
use bollard::models::{BuildInfo, CreateImageInfo, ImageDeleteResponseItem, PushImageInfo};
use bollard::query_parameters::{
    CreateImageOptionsBuilder, DataUsageOptions, ImportImageOptions, ListImagesOptionsBuilder,
    ListContainersOptions, ListNetworksOptions, ListVolumesOptions, InspectContainerOptions,
    PruneImagesOptions, PruneImagesOptionsBuilder, PushImageOptionsBuilder, RemoveImageOptions,
    RemoveImageOptionsBuilder, SearchImagesOptionsBuilder, TagImageOptionsBuilder,
};
use bollard::{Docker, body_full};
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _};

/// What the fixtures are: tests/parity/fixtures.
const APP_ID: &str = "sha256:899f0ba431e55ba94a6162fb5e409b9ff6e157015c3d22d01f7278674bcf75f2";
const APP_DIGEST: &str = "sha256:8090c8205ff8bbec0c367dfd2a8f5eec95ca8de66b6eeb8a9e51203ba1b5b0e4";

/// Of a step, or of the program.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

type Answer<T> = Result<T, bollard::errors::Error>;

/// What was done so far.
pub(crate) struct Story {
    docker: Docker,
    registry: String,
    app: String,
    files: String,
    mine: String,
    mine_locked: String,
    /// The actions that are to be made known to those who listen.
    pub(crate) happened: Vec<String>,
}

/// Fails unless what came is what was expected.
pub(crate) fn same<T: PartialEq + Debug>(what: &str, got: &T, expected: &T) -> Outcome<()> {
    check(what, got == expected, &format!("expected {expected:?}, got {got:?}"))
}

fn check(what: &str, truth: bool, got: &dyn Debug) -> Outcome<()> {
    if truth { Ok(()) } else { Err(format!("{what}: {got:?}").into()) }
}

/// Fails unless the call fails with a status and with words.
fn refused<T: Debug>(status: u16, words: &str, got: Answer<T>) -> Outcome<()> {
    match got {
        Err(bollard::errors::Error::DockerResponseServerError { status_code, message })
            if status_code == status && message.contains(words) =>
        {
            Ok(())
        }
        other => Err(format!("no status {status} with {words:?}, but {other:?}").into()),
    }
}

/// Fails unless the stream has an error with words in it.
fn broke<T: Debug>(words: &str, got: Answer<T>) -> Outcome<()> {
    match got {
        Err(bollard::errors::Error::DockerStreamError { error }) if error.contains(words) => Ok(()),
        other => Err(format!("no error with {words:?} in the stream, but {other:?}").into()),
    }
}

fn credentials(password: &str) -> Option<DockerCredentials> {
    Some(DockerCredentials {
        username: Some("ops".to_owned()),
        password: Some(password.to_owned()),
        ..DockerCredentials::default()
    })
}

fn filters(name: &'static str, value: &str) -> HashMap<&'static str, Vec<String>> {
    HashMap::from([(name, vec![value.to_owned()])])
}

fn tar_of(name: &str, content: &[u8]) -> Outcome<Bytes> {
    let mut header = tar::Header::new_gnu();
    header.set_size(u64::try_from(content.len())?);
    header.set_mode(0o644);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, name, content)?;
    Ok(archive.into_inner()?.into())
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

impl Story {
    pub(crate) fn new(docker: Docker, registry: &str, locked: &str) -> Self {
        Self {
            docker,
            registry: registry.to_owned(),
            app: format!("{registry}/team/app:1.1"),
            files: format!("{locked}/team/files:1"),
            mine: format!("{registry}/clients/bollard"),
            mine_locked: format!("{locked}/clients/bollard"),
            happened: Vec::new(),
        }
    }

    /// All of it.
    pub(crate) async fn tell(&mut self) -> Outcome<()> {
        self.greet().await?;
        self.pull().await?;
        self.pull_locked().await?;
        self.look().await?;
        self.tag().await?;
        self.push().await?;
        self.distribution().await?;
        self.save_remove_load().await?;
        self.import_and_prune().await?;
        self.usage().await?;
        self.mistakes().await?;
        self.what_is_not_here().await?;
        self.clear().await
    }

    fn done(&mut self, step: &str, actions: &str) {
        println!("ok: {step}");
        let actions = actions.split_whitespace().map(str::to_owned);
        self.happened.extend(actions);
    }

    async fn ids(&self, name: &'static str, value: &str) -> Outcome<Vec<String>> {
        let options = ListImagesOptionsBuilder::default().filters(&filters(name, value));
        let images = self.docker.list_images(Some(options.build())).await?;
        Ok(images.into_iter().map(|image| image.id).collect())
    }

    async fn all(&self) -> Outcome<Vec<(String, Vec<String>)>> {
        let options = ListImagesOptionsBuilder::default().all(true);
        let images = self.docker.list_images(Some(options.build())).await?;
        Ok(images.into_iter().map(|image| (image.id, image.repo_tags)).collect())
    }

    async fn greet(&mut self) -> Outcome<()> {
        same("ping", &self.docker.ping().await?, &"OK".to_owned())?;
        let version = self.docker.version().await?;
        same("the version of the API", &version.api_version.as_deref(), &Some("1.51"))?;
        same("the oldest version of the API", &version.min_api_version.as_deref(), &Some("1.24"))?;
        let info = self.docker.info().await?;
        same("the number of images", &info.images, &Some(0))?;
        same("the system", &info.os_type.as_deref(), &Some("linux"))?;
        same("the images at the beginning", &self.all().await?, &Vec::new())?;
        self.done("ping, version, info", "");
        Ok(())
    }

    fn pulling(
        &self,
        name: &str,
        credentials: Option<DockerCredentials>,
    ) -> impl Stream<Item = Answer<CreateImageInfo>> + use<> {
        let options = CreateImageOptionsBuilder::default().from_image(name).build();
        self.docker.create_image(Some(options), None, credentials)
    }

    async fn pull(&mut self) -> Outcome<()> {
        let lines: Vec<CreateImageInfo> = self.pulling(&self.app, None).try_collect().await?;
        let statuses: Vec<String> = lines.into_iter().filter_map(|line| line.status).collect();
        let digest = format!("Digest: {APP_DIGEST}");
        for words in ["Pulling from team/app", "Pulling fs layer", "Download complete", "Pull complete", &digest] {
            check(words, statuses.iter().any(|status| status == words), &statuses)?;
        }
        let last = format!("Status: Downloaded newer image for {}", self.app);
        same("the last line", &statuses.last(), &Some(&last))?;
        let again: Vec<CreateImageInfo> = self.pulling(&self.app, None).try_collect().await?;
        let last = format!("Status: Image is up to date for {}", self.app);
        same("the last line", &again.last().and_then(|line| line.status.clone()), &Some(last))?;
        self.done("pull, with progress", "pull pull");
        Ok(())
    }

    async fn pull_locked(&mut self) -> Outcome<()> {
        let pull = |credentials| self.pulling(&self.files, credentials).try_collect::<Vec<_>>();
        refused(500, "no basic auth credentials", pull(None).await)?;
        refused(401, "unauthorized: authentication required", pull(credentials("wrong")).await)?;
        pull(credentials("secret")).await?;
        let image = self.docker.inspect_image(&self.files).await?;
        same("the name", &image.repo_tags, &Some(vec![self.files.clone()]))?;
        self.done("pull with a user and a password, and without", "pull");
        Ok(())
    }

    async fn look(&mut self) -> Outcome<()> {
        let names: Vec<String> = self.all().await?.into_iter().flat_map(|(_, names)| names).collect();
        same("the names", &sorted(names), &sorted(vec![self.app.clone(), self.files.clone()]))?;
        let app = vec![APP_ID.to_owned()];
        let repository = format!("{}/team/app", self.registry);
        same("the images of a repository", &self.ids("reference", &repository).await?, &app)?;
        same("the images with a label", &self.ids("label", "tier=web").await?, &app)?;
        same("the images without a name", &self.ids("dangling", "true").await?, &Vec::new())?;
        let image = self.docker.inspect_image(&self.app).await?;
        same("the digests", &image.repo_digests, &Some(vec![format!("{repository}@{APP_DIGEST}")]))?;
        same("its system", &(image.os.as_deref(), image.architecture.as_deref()), &(Some("linux"), Some("amd64")))?;
        let layers = image.root_fs.and_then(|root| root.layers).unwrap_or_default();
        same("its layers", &layers.len(), &3)?;
        let labels = image.config.and_then(|config| config.labels).unwrap_or_default();
        same("a label", &labels.get("tier").map(String::as_str), &Some("web"))?;
        let history = self.docker.image_history(&self.app).await?;
        same("the steps of its history", &history.len(), &5)?;
        same("the latest step", &history[0].created_by.as_str(), &r#"ENTRYPOINT ["/app/server"]"#)?;
        self.done("list, inspect, history", "");
        Ok(())
    }

    async fn tag_as(&self, image: &str, repository: &str) -> Answer<()> {
        let options = TagImageOptionsBuilder::default().repo(repository).tag("1").build();
        self.docker.tag_image(image, Some(options)).await
    }

    async fn tag(&mut self) -> Outcome<()> {
        self.tag_as(&self.app, &self.mine).await?;
        let image = self.docker.inspect_image(&format!("{}:1", self.mine)).await?;
        same("the tagged image", &image.id.as_deref(), &Some(APP_ID))?;
        refused(404, "No such image: nosuch:latest", self.tag_as("nosuch", &self.mine).await)?;
        refused(400, "must be lowercase", self.tag_as(APP_ID, "BAD").await)?;
        self.done("tag", "tag");
        Ok(())
    }

    async fn pushed(
        &self,
        name: &str,
        tag: &str,
        credentials: Option<DockerCredentials>,
    ) -> Answer<Vec<PushImageInfo>> {
        let options = PushImageOptionsBuilder::default().tag(tag).build();
        self.docker.push_image(name, Some(options), credentials).try_collect().await
    }

    async fn push(&mut self) -> Outcome<()> {
        // Docker wants the header, whoever asks.
        let anonymous = || Some(DockerCredentials::default());
        let lines = self.pushed(&self.mine, "1", anonymous()).await?;
        let statuses: Vec<String> = lines.into_iter().filter_map(|line| line.status).collect();
        let first = format!("The push refers to repository [{}]", self.mine);
        same("the first line", &statuses.first(), &Some(&first))?;
        let digest = statuses.iter().find_map(|status| status.strip_prefix("1: digest: "));
        let digest = digest.and_then(|rest| rest.split(' ').next());
        let there = self.docker.inspect_registry_image(&format!("{}:1", self.mine), None).await?;
        same("what the registry has", &there.descriptor.digest.as_deref(), &digest)?;
        broke("tag does not exist", self.pushed(&self.mine, "nope", anonymous()).await)?;
        self.tag_as(&self.app, &self.mine_locked).await?;
        let words = "unauthorized: authentication required";
        broke(words, self.pushed(&self.mine_locked, "1", credentials("wrong")).await)?;
        self.pushed(&self.mine_locked, "1", credentials("secret")).await?;
        self.done("push, with progress; with a user and a password", "push tag push");
        Ok(())
    }

    async fn distribution(&mut self) -> Outcome<()> {
        let name = format!("{}/team/multi", self.registry);
        let found = self.docker.inspect_registry_image(&format!("{name}:1"), None).await?;
        let kind = found.descriptor.media_type.as_deref();
        same("the type", &kind, &Some("application/vnd.oci.image.index.v1+json"))?;
        let is_arm64 = |architecture: Option<&str>| architecture == Some("arm64");
        let any = found.platforms.iter().any(|one| is_arm64(one.architecture.as_deref()));
        check("there is an image for arm64", any, &found.platforms)?;
        let missing = self.docker.inspect_registry_image(&format!("{name}:nope"), None).await;
        refused(404, "manifest unknown", missing)?;
        let locked = self.docker.inspect_registry_image(&self.files, credentials("wrong")).await;
        refused(401, "unauthorized: authentication required", locked)?;
        self.done("distribution", "");
        Ok(())
    }

    async fn remove(&self, name: &str) -> Answer<Vec<ImageDeleteResponseItem>> {
        self.docker.remove_image(name, None::<RemoveImageOptions>, None).await
    }

    async fn load(&self, archive: Vec<u8>) -> Answer<Vec<BuildInfo>> {
        let body = body_full(archive.into());
        self.docker.import_image(ImportImageOptions::default(), body, None).try_collect().await
    }

    async fn save_remove_load(&mut self) -> Outcome<()> {
        let mine = format!("{}:1", self.mine);
        let chunks: Vec<Bytes> = self.docker.export_image(&mine).try_collect().await?;
        let saved = std::env::temp_dir().join(format!("wharf-bollard-{}.tar", std::process::id()));
        std::fs::write(&saved, chunks.concat())?;
        let archive = std::fs::read(&saved)?;
        std::fs::remove_file(&saved)?;
        let mut manifest = String::new();
        for entry in tar::Archive::new(archive.as_slice()).entries()? {
            let mut entry = entry?;
            if entry.path()?.as_os_str() == "manifest.json" {
                entry.read_to_string(&mut manifest)?;
            }
        }
        let manifest: serde_json::Value = serde_json::from_str(&manifest)?;
        same("the names in the archive", &manifest[0]["RepoTags"], &serde_json::json!([mine]))?;

        refused(409, "image is referenced in multiple repositories", self.remove(APP_ID).await)?;
        for name in [format!("{}:1", self.mine_locked), self.app.clone(), mine.clone()] {
            let gone = self.remove(&name).await?;
            same("what went first", &gone[0].untagged, &Some(name))?;
        }
        refused(404, "No such image", self.docker.inspect_image(APP_ID).await)?;
        let lines = self.load(archive).await?;
        let words = format!("Loaded image: {mine}\n");
        check(&words, lines.iter().any(|line| line.stream.as_ref() == Some(&words)), &lines)?;
        let image = self.docker.inspect_image(&mine).await?;
        same("what was loaded", &image.id.as_deref(), &Some(APP_ID))?;
        self.done("save, remove, load", "save untag untag untag delete load");
        Ok(())
    }

    async fn import(&self, content: &[u8], change: Option<&str>) -> Outcome<String> {
        let options = CreateImageOptionsBuilder::default().from_src("-").repo("mine").tag("1");
        let options = options.changes(change.into_iter().map(str::to_owned).collect());
        let body = body_full(tar_of("hello", content)?);
        let lines: Vec<CreateImageInfo> =
            self.docker.create_image(Some(options.build()), Some(body), None).try_collect().await?;
        let last = lines.into_iter().next_back().and_then(|line| line.status);
        last.ok_or_else(|| "the import said nothing".into())
    }

    async fn import_and_prune(&mut self) -> Outcome<()> {
        let first = self.import(b"hi\n", Some(r#"CMD ["x"]"#)).await?;
        let image = self.docker.inspect_image("mine:1").await?;
        let command = image.config.and_then(|config| config.cmd);
        same("what was imported", &(image.id, command), &(Some(first.clone()), Some(vec!["x".into()])))?;
        self.import(b"ho\n", None).await?;
        same("the image without a name", &self.ids("dangling", "true").await?, &vec![first.clone()])?;
        let options = PruneImagesOptionsBuilder::default().filters(&filters("dangling", "true"));
        let pruned = self.docker.prune_images(Some(options.build())).await?;
        let gone = pruned.images_deleted.unwrap_or_default();
        check("what was pruned", gone.iter().any(|one| one.deleted.as_ref() == Some(&first)), &gone)?;
        same("the bytes that were freed", &pruned.space_reclaimed, &Some(3))?;
        let nothing = self.docker.prune_images(None::<PruneImagesOptions>).await?;
        same("what was pruned then", &nothing.images_deleted, &None)?;
        self.done("import, prune", "tag import tag import delete prune prune");
        Ok(())
    }

    async fn usage(&mut self) -> Outcome<()> {
        self.docker.df(None::<DataUsageOptions>).await?;
        same("the number of images", &self.docker.info().await?.images, &Some(3))?;
        self.done("df, info", "");
        Ok(())
    }

    async fn mistakes(&mut self) -> Outcome<()> {
        refused(404, "No such image: nosuch:latest", self.docker.inspect_image("nosuch").await)?;
        refused(400, "must be lowercase", self.docker.inspect_image("BAD").await)?;
        let missing = self.pulling(&format!("{}/team/app:nope", self.registry), None);
        refused(404, "manifest unknown", missing.try_collect::<Vec<_>>().await)?;
        refused(404, "No such image: nosuch:latest", self.remove("nosuch").await)?;
        let options = ListImagesOptionsBuilder::default().filters(&filters("nosuch", "1"));
        refused(400, "invalid filter 'nosuch'", self.docker.list_images(Some(options.build())).await)?;
        let term = format!("{}/box", self.registry);
        let options = SearchImagesOptionsBuilder::default().term(&term).build();
        refused(500, "", self.docker.search_images(options).await)?;
        broke("archive/tar: invalid tar header", self.load(b"junk".repeat(300)).await)?;
        self.done("errors", "");
        Ok(())
    }

    async fn what_is_not_here(&mut self) -> Outcome<()> {
        let containers = self.docker.list_containers(None::<ListContainersOptions>).await?;
        same("containers", &containers, &Vec::new())?;
        let volumes = self.docker.list_volumes(None::<ListVolumesOptions>).await?;
        same("volumes", &volumes.volumes.unwrap_or_default(), &Vec::new())?;
        self.docker.list_networks(None::<ListNetworksOptions>).await?;
        let container = self.docker.inspect_container("nosuch", None::<InspectContainerOptions>).await;
        refused(404, "No such container: nosuch", container)?;
        self.done("containers, volumes, networks: none", "");
        Ok(())
    }

    async fn clear(&mut self) -> Outcome<()> {
        for (id, _) in self.all().await? {
            let options = RemoveImageOptionsBuilder::default().force(true).build();
            self.docker.remove_image(&id, Some(options), None).await?;
        }
        same("the images at the end", &self.all().await?, &Vec::new())?;
        // The one that was pulled has a digest, which is a name too.
        self.done("remove everything", "untag delete untag untag delete untag delete");
        Ok(())
    }
}
