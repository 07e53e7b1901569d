//! Goes through a tree, or two at once, sorted by whole names.
//!
//! Byte for byte, `a-b` comes before `a/b`, and after `a`: what is in a folder does not follow it at
//! once. So a folder is two steps among those beside it: itself, and what is below it, which is sorted as
//! if its name ended with the slash.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Place, Tree};

/// Something to come to.
#[derive(Clone, Copy)]
struct Step {
    /// The first bytes of its name, which mostly decide where it stands.
    key: u64,
    node: u32,
    /// What is below it, not itself.
    below: bool,
}

/// Where one is, and how much of the path is its folder's.
struct At<T> {
    step: T,
    folder: usize,
}

impl Tree {
    /// What is in a folder, sorted.
    fn steps(&self, folder: u32) -> Vec<Step> {
        let mut all = Vec::new();
        for node in self.nodes.children(folder) {
            let name = self.nodes.name(node);
            let step = |below| Step {
                key: key(name, below),
                node,
                below,
            };
            all.push(step(false));
            if self.nodes.children(node).next().is_some() {
                all.push(step(true));
            }
        }
        // Names come in the archive's order, mostly, which is mostly sorted, and the list is backwards.
        all.reverse();
        all.sort_by(|a, b| order((self, a), (self, b)));
        all
    }

    /// Gives everything below a place to `visit`, sorted: its name, from the image's root, and where it is.
    pub fn walk<E>(
        &self,
        below: Place,
        visit: &mut impl FnMut(&[u8], Place) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut path = self.path(below);
        if !path.is_empty() {
            path.push(b'/');
        }
        let mut left = Vec::new();
        push(&mut left, self.steps(below.0), path.len());
        while let Some(At { step, folder }) = left.pop() {
            path.truncate(folder);
            path.extend_from_slice(self.nodes.name(step.node));
            if step.below {
                path.push(b'/');
                push(&mut left, self.steps(step.node), path.len());
            } else {
                visit(&path, Place(step.node))?;
            }
        }
        Ok(())
    }

    /// Everything below a place, sorted, with its name.
    pub fn below(&self, place: Place) -> Vec<(Vec<u8>, Place)> {
        let mut all = Vec::new();
        let walked: Result<(), std::convert::Infallible> = self.walk(place, &mut |path, place| {
            all.push((path.to_vec(), place));
            Ok(())
        });
        match walked {
            Ok(()) => all,
            Err(never) => match never {},
        }
    }

    /// What is directly in a folder, sorted, with the last word of its name.
    pub fn children(&self, folder: Place) -> Vec<(&[u8], Place)> {
        let steps = self.steps(folder.0).into_iter().filter(|step| !step.below);
        steps
            .map(|step| (self.nodes.name(step.node), Place(step.node)))
            .collect()
    }
}

fn push<T>(left: &mut Vec<At<T>>, steps: Vec<T>, folder: usize) {
    left.extend(steps.into_iter().rev().map(|step| At { step, folder }));
}

fn key(name: &[u8], below: bool) -> u64 {
    let mut first = [0; 8];
    let length = name.len().min(8);
    first[..length].copy_from_slice(&name[..length]);
    if below && length < 8 {
        first[length] = b'/';
    }
    u64::from_be_bytes(first)
}

/// Which one stands first, of one tree or of two.
fn order((a, left): (&Tree, &Step), (b, right): (&Tree, &Step)) -> Ordering {
    left.key.cmp(&right.key).then_with(|| {
        let slash = |step: &Step| if step.below { &b"/"[..] } else { &[] };
        let (one, other) = (a.nodes.name(left.node), b.nodes.name(right.node));
        let common = one.len().min(other.len());
        one[..common].cmp(&other[..common]).then_with(|| {
            let rest = one[common..].iter().chain(slash(left));
            rest.cmp(other[common..].iter().chain(slash(right)))
        })
    })
}

/// The same name in two trees, or in one of them.
type Pair = (Option<Step>, Option<Step>);

/// Gives all names of both trees to `visit`, sorted, and where they are in either. What both have from the
/// tree that they were once, and neither has touched, is the same, and left out.
pub fn compare<E>(
    a: &Tree,
    b: &Tree,
    visit: &mut impl FnMut(&[u8], Option<Place>, Option<Place>) -> Result<(), E>,
) -> Result<(), E> {
    let origin = match (&a.origin, &b.origin) {
        (Some(one), Some(other)) if Arc::ptr_eq(&one.tree, &other.tree) => one.nodes,
        _ => 0,
    };
    let (mut path, mut left) = (Vec::new(), Vec::new());
    let root = super::ROOT;
    push(
        &mut left,
        pairs((a, Some(root)), (b, Some(root)), origin),
        0,
    );
    while let Some(At { step, folder }) = left.pop() {
        let (one, other) = step;
        let (tree, first) = match (one, other) {
            (Some(step), _) => (a, step),
            (None, Some(step)) => (b, step),
            (None, None) => continue,
        };
        path.truncate(folder);
        path.extend_from_slice(tree.nodes.name(first.node));
        let node = |step: Option<Step>| step.map(|step| step.node);
        if first.below {
            path.push(b'/');
            let inside = pairs((a, node(one)), (b, node(other)), origin);
            push(&mut left, inside, path.len());
        } else {
            visit(&path, node(one).map(Place), node(other).map(Place))?;
        }
    }
    Ok(())
}

/// What is in a folder of either tree, sorted, what has one name together.
fn pairs(
    (a, in_a): (&Tree, Option<u32>),
    (b, in_b): (&Tree, Option<u32>),
    origin: u32,
) -> Vec<Pair> {
    let steps =
        |tree: &Tree, folder: Option<u32>| folder.map(|f| tree.steps(f)).unwrap_or_default();
    let mut before = steps(a, in_a).into_iter().peekable();
    let mut after = steps(b, in_b).into_iter().peekable();
    let mut all = Vec::new();
    loop {
        let order = match (before.peek(), after.peek()) {
            (None, None) => return all,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(left), Some(right)) => order((a, left), (b, right)),
        };
        let left = before.next_if(|_| order != Ordering::Greater);
        let right = after.next_if(|_| order != Ordering::Less);
        if let (Some(one), Some(other)) = (left, right)
            && one.node == other.node
            && one.node < origin
            && !a.nodes.is_touched(one.node)
            && !b.nodes.is_touched(one.node)
        {
            continue;
        }
        all.push((left, right));
    }
}
