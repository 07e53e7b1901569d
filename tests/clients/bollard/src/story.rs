//! The steps, in their order: here what is pulled, named and pushed, in [`later`] what is kept and thrown away.

mod later;

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::models::{CreateImageInfo, PushImageInfo};
use bollard::query_parameters::{
    CreateImageOptionsBuilder, ListImagesOptionsBuilder, PushImageOptionsBuilder,
    TagImageOptionsBuilder,
};
use futures_util::{Stream, TryStreamExt as _};

use crate::checks::{Answer, Outcome, broke, check, credentials, filters, refused, same, sorted};

/// What the fixtures are: tests/parity/fixtures.
const APP_ID: &str = "sha256:899f0ba431e55ba94a6162fb5e409b9ff6e157015c3d22d01f7278674bcf75f2";
const APP_DIGEST: &str = "sha256:8090c8205ff8bbec0c367dfd2a8f5eec95ca8de66b6eeb8a9e51203ba1b5b0e4";

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
        Ok(images
            .into_iter()
            .map(|image| (image.id, image.repo_tags))
            .collect())
    }

    async fn greet(&mut self) -> Outcome<()> {
        same("ping", &self.docker.ping().await?, &"OK".to_owned())?;
        let version = self.docker.version().await?;
        same(
            "the version of the API",
            &version.api_version.as_deref(),
            &Some("1.51"),
        )?;
        same(
            "the oldest version of the API",
            &version.min_api_version.as_deref(),
            &Some("1.24"),
        )?;
        let info = self.docker.info().await?;
        same("the number of images", &info.images, &Some(0))?;
        same("the system", &info.os_type.as_deref(), &Some("linux"))?;
        same(
            "the images at the beginning",
            &self.all().await?,
            &Vec::new(),
        )?;
        self.done("ping, version, info", "");
        Ok(())
    }

    fn pulling(
        &self,
        name: &str,
        credentials: Option<DockerCredentials>,
    ) -> impl Stream<Item = Answer<CreateImageInfo>> + use<> {
        let options = CreateImageOptionsBuilder::default()
            .from_image(name)
            .build();
        self.docker.create_image(Some(options), None, credentials)
    }

    async fn pull(&mut self) -> Outcome<()> {
        let lines: Vec<CreateImageInfo> = self.pulling(&self.app, None).try_collect().await?;
        let statuses: Vec<String> = lines.into_iter().filter_map(|line| line.status).collect();
        let digest = format!("Digest: {APP_DIGEST}");
        for words in [
            "Pulling from team/app",
            "Pulling fs layer",
            "Download complete",
            "Pull complete",
            &digest,
        ] {
            check(
                words,
                statuses.iter().any(|status| status == words),
                &statuses,
            )?;
        }
        let last = format!("Status: Downloaded newer image for {}", self.app);
        same("the last line", &statuses.last(), &Some(&last))?;
        let again: Vec<CreateImageInfo> = self.pulling(&self.app, None).try_collect().await?;
        let last = format!("Status: Image is up to date for {}", self.app);
        same(
            "the last line",
            &again.last().and_then(|line| line.status.clone()),
            &Some(last),
        )?;
        self.done("pull, with progress", "pull pull");
        Ok(())
    }

    async fn pull_locked(&mut self) -> Outcome<()> {
        let pull = |credentials| {
            self.pulling(&self.files, credentials)
                .try_collect::<Vec<_>>()
        };
        refused(500, "no basic auth credentials", pull(None).await)?;
        refused(
            401,
            "unauthorized: authentication required",
            pull(credentials("wrong")).await,
        )?;
        pull(credentials("secret")).await?;
        let image = self.docker.inspect_image(&self.files).await?;
        same(
            "the name",
            &image.repo_tags,
            &Some(vec![self.files.clone()]),
        )?;
        self.done("pull with a user and a password, and without", "pull");
        Ok(())
    }

    async fn look(&mut self) -> Outcome<()> {
        let names: Vec<String> = self
            .all()
            .await?
            .into_iter()
            .flat_map(|(_, names)| names)
            .collect();
        same(
            "the names",
            &sorted(names),
            &sorted(vec![self.app.clone(), self.files.clone()]),
        )?;
        let app = vec![APP_ID.to_owned()];
        let repository = format!("{}/team/app", self.registry);
        same(
            "the images of a repository",
            &self.ids("reference", &repository).await?,
            &app,
        )?;
        same(
            "the images with a label",
            &self.ids("label", "tier=web").await?,
            &app,
        )?;
        same(
            "the images without a name",
            &self.ids("dangling", "true").await?,
            &Vec::new(),
        )?;
        let image = self.docker.inspect_image(&self.app).await?;
        same(
            "the digests",
            &image.repo_digests,
            &Some(vec![format!("{repository}@{APP_DIGEST}")]),
        )?;
        same(
            "its system",
            &(image.os.as_deref(), image.architecture.as_deref()),
            &(Some("linux"), Some("amd64")),
        )?;
        let layers = image
            .root_fs
            .and_then(|root| root.layers)
            .unwrap_or_default();
        same("its layers", &layers.len(), &3)?;
        let labels = image
            .config
            .and_then(|config| config.labels)
            .unwrap_or_default();
        same(
            "a label",
            &labels.get("tier").map(String::as_str),
            &Some("web"),
        )?;
        let history = self.docker.image_history(&self.app).await?;
        same("the steps of its history", &history.len(), &5)?;
        same(
            "the latest step",
            &history[0].created_by.as_str(),
            &r#"ENTRYPOINT ["/app/server"]"#,
        )?;
        self.done("list, inspect, history", "");
        Ok(())
    }

    async fn tag_as(&self, image: &str, repository: &str) -> Answer<()> {
        let options = TagImageOptionsBuilder::default()
            .repo(repository)
            .tag("1")
            .build();
        self.docker.tag_image(image, Some(options)).await
    }

    async fn tag(&mut self) -> Outcome<()> {
        self.tag_as(&self.app, &self.mine).await?;
        let image = self
            .docker
            .inspect_image(&format!("{}:1", self.mine))
            .await?;
        same("the tagged image", &image.id.as_deref(), &Some(APP_ID))?;
        refused(
            404,
            "No such image: nosuch:latest",
            self.tag_as("nosuch", &self.mine).await,
        )?;
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
        self.docker
            .push_image(name, Some(options), credentials)
            .try_collect()
            .await
    }

    async fn push(&mut self) -> Outcome<()> {
        // Docker wants the header, whoever asks.
        let anonymous = || Some(DockerCredentials::default());
        let lines = self.pushed(&self.mine, "1", anonymous()).await?;
        let statuses: Vec<String> = lines.into_iter().filter_map(|line| line.status).collect();
        let first = format!("The push refers to repository [{}]", self.mine);
        same("the first line", &statuses.first(), &Some(&first))?;
        let digest = statuses
            .iter()
            .find_map(|status| status.strip_prefix("1: digest: "));
        let digest = digest.and_then(|rest| rest.split(' ').next());
        let there = self
            .docker
            .inspect_registry_image(&format!("{}:1", self.mine), None)
            .await?;
        same(
            "what the registry has",
            &there.descriptor.digest.as_deref(),
            &digest,
        )?;
        broke(
            "tag does not exist",
            self.pushed(&self.mine, "nope", anonymous()).await,
        )?;
        self.tag_as(&self.app, &self.mine_locked).await?;
        let words = "unauthorized: authentication required";
        broke(
            words,
            self.pushed(&self.mine_locked, "1", credentials("wrong"))
                .await,
        )?;
        self.pushed(&self.mine_locked, "1", credentials("secret"))
            .await?;
        self.done(
            "push, with progress; with a user and a password",
            "push tag push",
        );
        Ok(())
    }

    async fn distribution(&mut self) -> Outcome<()> {
        let name = format!("{}/team/multi", self.registry);
        let found = self
            .docker
            .inspect_registry_image(&format!("{name}:1"), None)
            .await?;
        let kind = found.descriptor.media_type.as_deref();
        same(
            "the type",
            &kind,
            &Some("application/vnd.oci.image.index.v1+json"),
        )?;
        let is_arm64 = |architecture: Option<&str>| architecture == Some("arm64");
        let any = found
            .platforms
            .iter()
            .any(|one| is_arm64(one.architecture.as_deref()));
        check("there is an image for arm64", any, &found.platforms)?;
        let missing = self
            .docker
            .inspect_registry_image(&format!("{name}:nope"), None)
            .await;
        refused(404, "manifest unknown", missing)?;
        let locked = self
            .docker
            .inspect_registry_image(&self.files, credentials("wrong"))
            .await;
        refused(401, "unauthorized: authentication required", locked)?;
        self.done("distribution", "");
        Ok(())
    }
}
