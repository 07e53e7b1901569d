//! An OCI runtime bundle's config.json (runtime-spec 1.0), out of an image's config (image-spec,
//! "Conversion to OCI Runtime Configuration"). Who runs wharf without root gets a bundle for a user
//! namespace.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wharf_core::config::Fields;
use wharf_engine::{ImageFiles, LocalEngine, is_file};

use crate::exit::{Failure, Result};

/// What a process finds programs by if its image does not say.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Docker's default capabilities.
const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// What a container must not see, and must not change (Docker's defaults).
const MASKED: [&str; 10] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
];
const READONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// Bounds a file of users or groups that is read, in bytes.
const USERS_MAX: u64 = 1024 * 1024;

/// Who runs the process.
#[derive(Debug, Default, PartialEq, Eq)]
struct User {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

/// The bundle's config.
pub(super) fn config(engine: &LocalEngine, files: &ImageFiles) -> Result<Value> {
    let run = &files.config.fields.config;
    let mut args = [&*run.entrypoint, &*run.cmd].concat();
    if args.is_empty() {
        args.push("sh".to_owned());
    }
    let mut env = run.env.clone();
    if !env.iter().any(|one| one.starts_with("PATH=")) {
        env.insert(0, PATH.to_owned());
    }
    let text = |file: &str| read(engine, files, file);
    let user = user(&run.user, &text("etc/passwd")?, &text("etc/group")?)?;
    let cwd = Some(run.working_dir.as_str()).filter(|cwd| !cwd.is_empty());
    let cwd = cwd.unwrap_or("/");
    let rootless = !rustix::process::geteuid().is_root();
    Ok(json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": { "uid": user.uid, "gid": user.gid, "additionalGids": user.groups },
            "args": args, "env": env, "cwd": cwd,
            "capabilities": {
                "bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES,
            },
            "noNewPrivileges": true,
        },
        "root": { "path": "rootfs", "readonly": false },
        "hostname": files.id.short(),
        "mounts": mounts(rootless),
        "annotations": annotations(&files.config.fields),
        "linux": linux(rootless),
    }))
}

fn mounts(rootless: bool) -> Value {
    let mut all = vec![
        json!({ "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"] }),
        json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] }),
        json!({ "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"] }),
        json!({ "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"] }),
    ];
    let mut pts = vec![
        "nosuid",
        "noexec",
        "newinstance",
        "ptmxmode=0666",
        "mode=0620",
    ];
    if rootless {
        all.push(
            json!({ "destination": "/sys", "type": "none", "source": "/sys",
            "options": ["rbind", "nosuid", "noexec", "nodev", "ro"] }),
        );
    } else {
        // The group of terminals, which a user namespace of one user does not have.
        pts.push("gid=5");
        all.push(
            json!({ "destination": "/sys", "type": "sysfs", "source": "sysfs",
            "options": ["nosuid", "noexec", "nodev", "ro"] }),
        );
    }
    all.push(
        json!({ "destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": pts }),
    );
    Value::Array(all)
}

fn linux(rootless: bool) -> Value {
    let mut namespaces = vec!["pid", "network", "ipc", "uts", "mount"];
    if rootless {
        namespaces.push("user");
    }
    let namespaces: Vec<Value> = namespaces
        .iter()
        .map(|kind| json!({ "type": kind }))
        .collect();
    let mut linux = json!({
        "namespaces": namespaces, "maskedPaths": MASKED, "readonlyPaths": READONLY,
    });
    if rootless {
        let (uid, gid) = (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        );
        linux["uidMappings"] = json!([{ "containerID": 0, "hostID": uid, "size": 1 }]);
        linux["gidMappings"] = json!([{ "containerID": 0, "hostID": gid, "size": 1 }]);
    } else {
        linux["resources"] = json!({ "devices": [{ "allow": false, "access": "rwm" }] });
    }
    linux
}

/// The image's labels, and what the image-spec wants to be said of it.
fn annotations(image: &Fields) -> BTreeMap<String, String> {
    let ports: Vec<&str> = image
        .config
        .exposed_ports
        .keys()
        .map(String::as_str)
        .collect();
    let own = [
        ("os", image.os.as_str()),
        ("architecture", &image.architecture),
        ("variant", &image.variant),
        ("author", image.author.as_deref().unwrap_or_default()),
        ("created", image.created.as_deref().unwrap_or_default()),
        ("stopSignal", &image.config.stop_signal),
        ("exposedPorts", &ports.join(",")),
    ];
    let own = own.into_iter().filter(|(_, value)| !value.is_empty());
    let mut all: BTreeMap<String, String> = own
        .map(|(name, value)| (format!("org.opencontainers.image.{name}"), value.to_owned()))
        .collect();
    all.extend(image.config.labels.clone());
    all
}

/// A file of the image; nothing if it isn't there. Links are followed within the image.
fn read(engine: &LocalEngine, files: &ImageFiles, path: &str) -> Result<String> {
    let Ok(place) = files.tree.find(path.as_bytes()) else {
        return Ok(String::new());
    };
    let node = files.tree.node(place);
    if !is_file(&node) || node.entry.size > USERS_MAX {
        return Ok(String::new());
    }
    let mut bytes = Vec::new();
    engine.read_files(files, &[place], &mut |_, chunk| {
        bytes.extend_from_slice(chunk);
        Ok(())
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `user`, `uid`, `user:group`, `uid:gid`, as the image's own files say.
fn user(text: &str, passwd: &str, group: &str) -> Result<User> {
    let (name, group_name) = match text.split_once(':') {
        Some((name, group)) => (name, Some(group)),
        None => (text, None),
    };
    let name = if name.is_empty() { "0" } else { name };
    let unknown = |what: &str, name: &str| {
        Failure::error(format!(
            "unable to find {what} {name}: no matching entries in the image"
        ))
    };
    let rows = |text: &str| -> Vec<Vec<String>> {
        text.lines()
            .map(|line| line.split(':').map(str::to_owned).collect())
            .collect()
    };
    let number =
        |row: &[String], at: usize| row.get(at).and_then(|field| field.parse::<u32>().ok());
    let wanted = name.parse::<u32>().ok();
    let rows_of_users = rows(passwd);
    let row = rows_of_users.iter().find(|row| {
        row.first().is_some_and(|known| known == name)
            || wanted.is_some() && number(row, 2) == wanted
    });
    let mut user = match (row, wanted) {
        (Some(row), _) => User {
            uid: number(row, 2).ok_or_else(|| unknown("user", name))?,
            gid: number(row, 3).unwrap_or(0),
            groups: Vec::new(),
        },
        (None, Some(uid)) => User {
            uid,
            ..User::default()
        },
        (None, None) => return Err(unknown("user", name)),
    };
    let groups = rows(group);
    match group_name.filter(|name| !name.is_empty()) {
        Some(name) => {
            let row = groups
                .iter()
                .find(|row| row.first().is_some_and(|known| known == name));
            let gid = row
                .and_then(|row| number(row, 2))
                .or_else(|| name.parse().ok());
            user.gid = gid.ok_or_else(|| unknown("group", name))?;
        }
        None => {
            // Groups that have the user as a member count only where no group was named.
            let known = row.and_then(|row| row.first()).map_or(name, String::as_str);
            let member = |row: &&Vec<String>| {
                row.get(3)
                    .is_some_and(|members| members.split(',').any(|one| one == known))
            };
            let all = groups
                .iter()
                .filter(member)
                .filter_map(|row| number(row, 2));
            user.groups = all.collect();
        }
    }
    Ok(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nops:x:1000:100:Ops:/home/ops:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nusers:x:100:\nwheel:x:10:root,ops\n";

    #[test]
    fn a_user_is_who_the_image_s_files_say() {
        let found = |text| user(text, PASSWD, GROUP).unwrap();
        let is = |uid, gid, groups: &[u32]| User {
            uid,
            gid,
            groups: groups.into(),
        };
        assert_eq!(found(""), is(0, 0, &[10]));
        assert_eq!(found("ops"), is(1000, 100, &[10]));
        assert_eq!(found("1000"), is(1000, 100, &[10]));
        assert_eq!(found("ops:wheel"), is(1000, 10, &[]));
        assert_eq!(found("7:8"), is(7, 8, &[]));
        assert!(user("nobody", PASSWD, GROUP).is_err());
        assert!(user("ops:nosuch", PASSWD, GROUP).is_err());
        assert_eq!(user("", "", "").unwrap(), User::default());
    }
}
