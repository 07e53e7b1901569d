//! The second half: archives in and out, what is left over, and what goes wrong.

use std::io::Read as _;

use bollard::body_full;
use bollard::models::{BuildInfo, CreateImageInfo, ImageDeleteResponseItem};
use bollard::query_parameters::{
    CreateImageOptionsBuilder, DataUsageOptions, ImportImageOptions, InspectContainerOptions,
    ListContainersOptions, ListImagesOptionsBuilder, ListNetworksOptions, ListVolumesOptions,
    PruneImagesOptions, PruneImagesOptionsBuilder, RemoveImageOptions, RemoveImageOptionsBuilder,
    SearchImagesOptionsBuilder,
};
use bytes::Bytes;
use futures_util::TryStreamExt as _;

use super::{APP_ID, Story};
use crate::checks::{Answer, Outcome, broke, check, filters, refused, same, tar_of};

impl Story {
    async fn remove(&self, name: &str) -> Answer<Vec<ImageDeleteResponseItem>> {
        self.docker
            .remove_image(name, None::<RemoveImageOptions>, None)
            .await
    }

    async fn load(&self, archive: Vec<u8>) -> Answer<Vec<BuildInfo>> {
        let body = body_full(archive.into());
        self.docker
            .import_image(ImportImageOptions::default(), body, None)
            .try_collect()
            .await
    }

    pub(super) async fn save_remove_load(&mut self) -> Outcome<()> {
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
        same(
            "the names in the archive",
            &manifest[0]["RepoTags"],
            &serde_json::json!([mine]),
        )?;

        refused(
            409,
            "image is referenced in multiple repositories",
            self.remove(APP_ID).await,
        )?;
        for name in [
            format!("{}:1", self.mine_locked),
            self.app.clone(),
            mine.clone(),
        ] {
            let gone = self.remove(&name).await?;
            same("what went first", &gone[0].untagged, &Some(name))?;
        }
        refused(
            404,
            "No such image",
            self.docker.inspect_image(APP_ID).await,
        )?;
        let lines = self.load(archive).await?;
        let words = format!("Loaded image: {mine}\n");
        check(
            &words,
            lines
                .iter()
                .any(|line| line.stream.as_ref() == Some(&words)),
            &lines,
        )?;
        let image = self.docker.inspect_image(&mine).await?;
        same("what was loaded", &image.id.as_deref(), &Some(APP_ID))?;
        self.done("save, remove, load", "save untag untag untag delete load");
        Ok(())
    }

    async fn import(&self, content: &[u8], change: Option<&str>) -> Outcome<String> {
        let options = CreateImageOptionsBuilder::default()
            .from_src("-")
            .repo("mine")
            .tag("1");
        let options = options.changes(change.into_iter().map(str::to_owned).collect());
        let body = body_full(tar_of("hello", content)?);
        let lines: Vec<CreateImageInfo> = self
            .docker
            .create_image(Some(options.build()), Some(body), None)
            .try_collect()
            .await?;
        let last = lines.into_iter().next_back().and_then(|line| line.status);
        last.ok_or_else(|| "the import said nothing".into())
    }

    pub(super) async fn import_and_prune(&mut self) -> Outcome<()> {
        let first = self.import(b"hi\n", Some(r#"CMD ["x"]"#)).await?;
        let image = self.docker.inspect_image("mine:1").await?;
        let command = image.config.and_then(|config| config.cmd);
        same(
            "what was imported",
            &(image.id, command),
            &(Some(first.clone()), Some(vec!["x".into()])),
        )?;
        self.import(b"ho\n", None).await?;
        same(
            "the image without a name",
            &self.ids("dangling", "true").await?,
            &vec![first.clone()],
        )?;
        let options = PruneImagesOptionsBuilder::default().filters(&filters("dangling", "true"));
        let pruned = self.docker.prune_images(Some(options.build())).await?;
        let gone = pruned.images_deleted.unwrap_or_default();
        check(
            "what was pruned",
            gone.iter().any(|one| one.deleted.as_ref() == Some(&first)),
            &gone,
        )?;
        same(
            "the bytes that were freed",
            &pruned.space_reclaimed,
            &Some(3),
        )?;
        let nothing = self.docker.prune_images(None::<PruneImagesOptions>).await?;
        same("what was pruned then", &nothing.images_deleted, &None)?;
        self.done("import, prune", "tag import tag import delete prune prune");
        Ok(())
    }

    pub(super) async fn usage(&mut self) -> Outcome<()> {
        self.docker.df(None::<DataUsageOptions>).await?;
        same(
            "the number of images",
            &self.docker.info().await?.images,
            &Some(3),
        )?;
        self.done("df, info", "");
        Ok(())
    }

    pub(super) async fn mistakes(&mut self) -> Outcome<()> {
        refused(
            404,
            "No such image: nosuch:latest",
            self.docker.inspect_image("nosuch").await,
        )?;
        refused(
            400,
            "must be lowercase",
            self.docker.inspect_image("BAD").await,
        )?;
        let missing = self.pulling(&format!("{}/team/app:nope", self.registry), None);
        refused(
            404,
            "manifest unknown",
            missing.try_collect::<Vec<_>>().await,
        )?;
        refused(
            404,
            "No such image: nosuch:latest",
            self.remove("nosuch").await,
        )?;
        let options = ListImagesOptionsBuilder::default().filters(&filters("nosuch", "1"));
        refused(
            400,
            "invalid filter 'nosuch'",
            self.docker.list_images(Some(options.build())).await,
        )?;
        let term = format!("{}/box", self.registry);
        let options = SearchImagesOptionsBuilder::default().term(&term).build();
        refused(500, "", self.docker.search_images(options).await)?;
        broke(
            "archive/tar: invalid tar header",
            self.load(b"junk".repeat(300)).await,
        )?;
        self.done("errors", "");
        Ok(())
    }

    pub(super) async fn what_is_not_here(&mut self) -> Outcome<()> {
        let containers = self
            .docker
            .list_containers(None::<ListContainersOptions>)
            .await?;
        same("containers", &containers, &Vec::new())?;
        let volumes = self.docker.list_volumes(None::<ListVolumesOptions>).await?;
        same("volumes", &volumes.volumes.unwrap_or_default(), &Vec::new())?;
        self.docker
            .list_networks(None::<ListNetworksOptions>)
            .await?;
        let container = self
            .docker
            .inspect_container("nosuch", None::<InspectContainerOptions>)
            .await;
        refused(404, "No such container: nosuch", container)?;
        self.done("containers, volumes, networks: none", "");
        Ok(())
    }

    pub(super) async fn clear(&mut self) -> Outcome<()> {
        for (id, _) in self.all().await? {
            let options = RemoveImageOptionsBuilder::default().force(true).build();
            self.docker.remove_image(&id, Some(options), None).await?;
        }
        same("the images at the end", &self.all().await?, &Vec::new())?;
        // The one that was pulled has a digest, which is a name too.
        self.done(
            "remove everything",
            "untag delete untag untag delete untag delete",
        );
        Ok(())
    }
}
