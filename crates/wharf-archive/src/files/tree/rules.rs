//! What layers mean, said a second time in the most obvious way: a map from whole names, in which every question
//! is a search. The tree is compared with it by its property tests and by the fuzz target `tree`, which takes
//! this file as it is.

use std::collections::{BTreeMap, BTreeSet};

use super::Kind;

/// The words of a name.
pub(crate) type Words = Vec<String>;

/// What a layer has.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) link: String,
    /// Tells the items apart.
    pub(crate) number: u64,
}

/// What a name has: the kind, a link's target, the number and the layer of the item that it is from, and
/// the layer that put the name there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Thing {
    pub(crate) kind: Kind,
    pub(crate) link: String,
    pub(crate) number: u64,
    pub(crate) from: usize,
    by: usize,
}

/// Why an item is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Odd {
    Escapes,
    HardLink,
    NotAFolder,
    Loop,
    Target,
    BelowWhiteout,
}

/// The files of an image.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) things: BTreeMap<Words, Thing>,
    /// What the whiteouts of the last layer hid, and nothing has replaced since.
    hidden: BTreeMap<Words, Thing>,
}

pub(crate) fn split(name: &str) -> Words {
    let words = name.split('/').filter(|word| !matches!(*word, "" | "."));
    words.map(str::to_owned).collect()
}

fn is_whiteout(item: &Item) -> bool {
    split(&item.name)
        .last()
        .is_some_and(|word| word.starts_with(".wh."))
}

impl Rules {
    /// Follows every link; what is not there stays as it is. The links on the way go to `passed`.
    fn resolve(&self, path: &[String], passed: &mut Vec<Words>) -> Result<Words, Odd> {
        let (mut at, mut left) = (Words::new(), path.to_vec());
        while !left.is_empty() {
            let word = left.remove(0);
            if word == ".." {
                at.pop();
                continue;
            }
            at.push(word);
            let thing = self
                .things
                .get(&at)
                .filter(|thing| thing.kind == Kind::Symlink);
            if let Some(thing) = thing {
                passed.push(at.clone());
                if passed.len() > 40 {
                    return Err(Odd::Loop);
                }
                at.pop();
                if thing.link.starts_with('/') {
                    at.clear();
                }
                left.splice(0..0, split(&thing.link));
            }
        }
        Ok(at)
    }

    pub(crate) fn find(&self, path: &[String]) -> Option<Words> {
        let found = self.resolve(path, &mut Vec::new()).ok()?;
        (found.is_empty() || self.things.contains_key(&found)).then_some(found)
    }

    /// Rule 1: whiteouts hide what the layers below have, wherever they stand. Rule 2: all other items
    /// follow in their order. Returns why items were left out.
    pub(crate) fn apply(&mut self, items: &[Item], by: usize) -> Vec<Odd> {
        let (mut odd, mut hidden) = (Vec::new(), BTreeSet::new());
        for item in items.iter().filter(|item| is_whiteout(item)) {
            match self.hides(item, items) {
                Ok(names) => hidden.extend(names),
                Err(reason) => odd.push(reason),
            }
        }
        let all = std::mem::take(&mut self.things).into_iter();
        (self.hidden, self.things) = all.partition(|(name, _)| hidden.contains(name));
        for item in items.iter().filter(|item| !is_whiteout(item)) {
            odd.extend(self.put(item, items, by).err());
        }
        odd
    }

    /// The names that a whiteout hides.
    fn hides(&self, item: &Item, items: &[Item]) -> Result<Vec<Words>, Odd> {
        let mut above = split(&item.name);
        let base = above.pop().unwrap_or_default();
        let is_aufs = base.starts_with(".wh..wh.");
        let name = base[".wh.".len()..].to_owned();
        if above.iter().any(|word| word == "..")
            || !is_aufs && matches!(name.as_str(), "" | "." | "..")
        {
            return Err(Odd::Escapes);
        }
        let mut passed = Vec::new();
        let Ok(mut place) = self.resolve(&above, &mut passed) else {
            return Ok(Vec::new());
        };
        let is_folder = place.is_empty()
            || self
                .things
                .get(&place)
                .is_some_and(|t| t.kind == Kind::Folder);
        let replaced = passed.iter().any(|link| self.replaces(items, link));
        if replaced || !is_folder || is_aufs && base != ".wh..wh..opq" {
            return Ok(Vec::new());
        }
        let itself = !is_aufs;
        if itself {
            place.push(name);
        }
        let names = self
            .things
            .keys()
            .filter(|name| name.starts_with(&place) && (itself || name.len() > place.len()));
        Ok(names.cloned().collect())
    }

    /// Tells whether one of the items puts something else in the place of a link.
    fn replaces(&self, items: &[Item], link: &Words) -> bool {
        items.iter().any(|item| {
            let mut above = split(&item.name);
            let Some(base) = above.pop() else {
                return false;
            };
            let Ok(mut place) = self.resolve(&above, &mut Vec::new()) else {
                return false;
            };
            place.push(base);
            item.kind != Kind::Symlink && !is_whiteout(item) && place == *link
        })
    }

    /// The folder of a name, made with all that is above it.
    fn folder(&mut self, path: &[String], by: usize) -> Result<Words, Odd> {
        let implied = Thing {
            kind: Kind::Folder,
            link: String::new(),
            number: 0,
            from: by,
            by,
        };
        let mut done = Words::new();
        for word in path {
            done.push(word.clone());
            let real = self.folders(&done, &implied);
            let lower = self.things.get(&done).is_some_and(|thing| thing.by < by);
            done = match real {
                Ok(real) => real,
                Err(_) if lower => {
                    self.set(done.clone(), implied.clone());
                    done
                }
                Err(reason) => return Err(reason),
            };
        }
        Ok(done)
    }

    /// Follows a name, and makes the folders that are missing.
    fn folders(&mut self, path: &Words, implied: &Thing) -> Result<Words, Odd> {
        let real = self.resolve(path, &mut Vec::new())?;
        let is_file = |name: &[String]| {
            self.things
                .get(name)
                .is_some_and(|t| t.kind != Kind::Folder)
        };
        if (1..=real.len()).any(|length| is_file(&real[..length])) {
            return Err(Odd::NotAFolder);
        }
        for length in 1..=real.len() {
            let name = real[..length].to_vec();
            if !self.things.contains_key(&name) {
                self.set(name, implied.clone());
            }
        }
        Ok(real)
    }

    fn put(&mut self, item: &Item, items: &[Item], by: usize) -> Result<(), Odd> {
        let mut path = split(&item.name);
        if path.iter().any(|word| word == "..") {
            return Err(Odd::Escapes);
        }
        let Some(base) = path.pop() else {
            return Ok(());
        };
        if let Some(word) = path.iter().find(|word| word.starts_with(".wh.")) {
            let is_aufs = word.starts_with(".wh..wh.");
            return if is_aufs {
                Ok(())
            } else {
                Err(Odd::BelowWhiteout)
            };
        }
        let mut place = self.folder(&path, by)?;
        place.push(base);
        let thing = match item.kind {
            Kind::HardLink => self.hard_link(item, items, by)?,
            Kind::Symlink if item.link.is_empty() => return Err(Odd::Target),
            _ => Thing {
                kind: item.kind,
                link: item.link.clone(),
                number: item.number,
                from: by,
                by,
            },
        };
        if thing.kind != Kind::Folder {
            self.things.retain(|name, _| !name.starts_with(&place));
        }
        self.set(place, thing);
        Ok(())
    }

    /// A hard link means a file of AUFS's own in this layer, what is there now, or what was there before this
    /// layer's whiteouts.
    fn hard_link(&self, item: &Item, items: &[Item], by: usize) -> Result<Thing, Odd> {
        let target = split(&item.link);
        if target.iter().any(|word| word == "..") {
            return Err(Odd::Escapes);
        }
        let Some((base, above)) = target.split_last() else {
            return Err(Odd::HardLink);
        };
        let mark = above.iter().find(|word| word.starts_with(".wh."));
        if mark.is_some_and(|word| word.starts_with(".wh..wh.")) {
            let before = items.iter().take_while(|other| other.number != item.number);
            let files = before.filter(|other| other.kind == Kind::File && !is_whiteout(other));
            if let Some(kept) = files.filter(|other| split(&other.name) == target).last() {
                return Ok(Thing {
                    kind: kept.kind,
                    link: kept.link.clone(),
                    number: kept.number,
                    from: by,
                    by,
                });
            }
        }
        for files in [self, &self.with_hidden()] {
            let Ok(mut place) = files.resolve(above, &mut Vec::new()) else {
                continue;
            };
            place.push(base.clone());
            if let Some(found) = files.things.get(&place).filter(|t| t.kind != Kind::Folder) {
                return Ok(Thing {
                    by,
                    ..found.clone()
                });
            }
        }
        Err(Odd::HardLink)
    }

    /// What is there now, and beside it what the whiteouts hid, as far as its folders have not gone since.
    fn with_hidden(&self) -> Self {
        let mut all = self.clone();
        for (name, thing) in &self.hidden {
            if (1..name.len()).all(|length| all.things.contains_key(&name[..length])) {
                all.things.insert(name.clone(), thing.clone());
            }
        }
        all
    }

    fn set(&mut self, name: Words, thing: Thing) {
        self.hidden.remove(&name);
        self.things.insert(name, thing);
    }
}
