//! The section of bench/RESULTS.md about the Engine API: it stands at the end, with targets of its own.

use std::time::Duration;

use super::{Memory, Row, Section, What};
use crate::bench::measure::median_time;
use crate::bench::report::{Target, megabytes, milliseconds};

/// Where the section begins.
pub(super) const HEADING: &str = "## Engine API\n";

impl What {
    const fn words(self) -> &'static str {
        match self {
            Self::List => "`GET /images/json`",
            Self::ListChanged => "`GET /images/json` after a change",
            Self::Tag => "`POST /tag`",
        }
    }
}

impl Row {
    fn median(&self) -> Duration {
        median_time(&self.times).unwrap_or_default()
    }

    /// Requests per second: the round in the middle.
    fn rate(&self) -> f64 {
        let mut rates = self.rates.clone();
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied().unwrap_or_default()
    }
}

impl Section {
    /// The section, as Markdown.
    pub(crate) fn to_markdown(&self) -> String {
        let mut text = format!(
            "{HEADING}\nRequests over a unix socket, on connections that stay open, one after the other for each \
             client; rounds in turn, medians. One image has all the names, which were made through the API; \
             each measured tag moves a name from one of two images to the other. \
             wharf's tag is durable when it is answered. Memory is what is resident, dockerd's without its \
             containerd's.\n\n\
             | request | who | names | clients | per second | median | slowest |\n\
             |---|---|--:|--:|--:|--:|--:|\n"
        );
        for row in &self.rows {
            let slowest = row.times.iter().max().copied().unwrap_or_default();
            text += &format!(
                "| {} | {} | {} | {} | {:.0} | {:.2} ms | {:.2} ms |\n",
                row.what.words(),
                row.who,
                row.names,
                row.clients,
                row.rate(),
                milliseconds(row.median()),
                milliseconds(slowest),
            );
        }
        text += "\n| who | idle | after lists | of names |\n|---|--:|--:|--:|\n";
        for memory in &self.memory {
            text += &format!(
                "| {} | {:.1} MB | {:.1} MB | {} |\n",
                memory.who,
                megabytes(memory.idle),
                megabytes(memory.listed),
                memory.names,
            );
        }
        for missing in &self.missing {
            text += &format!("\nNot measured: {missing}\n");
        }
        text += "\n| target | limit | measured | |\n|---|--:|--:|---|\n";
        for target in self.targets() {
            text += &format!("{}\n", target.row());
        }
        text
    }

    /// What one client was answered by the stores that are compared: wharf's with so many names, and all that a
    /// peer has.
    fn compared(&self, what: What, who: &str) -> Option<&Row> {
        let at = self.compared_at;
        let mut rows = self.rows.iter();
        rows.find(|row| {
            let same = (row.what, row.who, row.clients) == (what, who, 1);
            same && (row.names >= at || who != "wharf")
        })
    }

    /// What was promised.
    fn targets(&self) -> Vec<Target> {
        let at = self.compared_at;
        let mut targets = Vec::new();
        for (what, times) in [
            (What::List, 5.0),
            (What::ListChanged, 5.0),
            (What::Tag, 10.0),
        ] {
            for peer in ["dockerd, classic", "dockerd, containerd"] {
                let (ours, its) = (self.compared(what, "wharf"), self.compared(what, peer));
                let measured = ours.zip(its).map(|(ours, its)| ours.rate() / its.rate());
                let fewer = its.filter(|row| row.names < at);
                let fewer = fewer.map_or(String::new(), |row| format!(" with {}", row.names));
                let words = format!("{}, {at} names, faster than {peer}{fewer}", what.words());
                targets.push(Target::at_least(words, measured, times, "×"));
            }
        }
        let tags = self
            .rows
            .iter()
            .filter(|row| (row.what, row.who, row.clients) == (What::Tag, "wharf", 1));
        let (few, many) = (
            tags.clone().min_by_key(|r| r.names),
            tags.max_by_key(|r| r.names),
        );
        let flat = few.zip(many).map(|(few, many)| {
            let words = format!("`POST /tag`, {} to {} names", many.names, few.names);
            let times = many.median().as_secs_f64() / few.median().as_secs_f64();
            Target::at_most(words, Some(times), 1.3, "×")
        });
        targets.extend(flat);
        let memory = |figure: fn(&Memory) -> u64| {
            let ours = self.memory.iter().find(|memory| memory.who == "wharf");
            ours.map(|memory| megabytes(figure(memory)))
        };
        let idle = memory(|memory| memory.idle);
        targets.push(Target::at_most("memory, idle", idle, 20.0, "MB"));
        targets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(what: What, who: &'static str, names: usize, ms: u64) -> Row {
        let time = Duration::from_millis(ms);
        Row {
            what,
            who,
            names,
            clients: 1,
            rates: vec![1.0 / time.as_secs_f64()],
            times: vec![time],
        }
    }

    #[test]
    fn says_what_was_promised() {
        let section = Section {
            rows: vec![
                row(What::List, "wharf", 10, 1),
                row(What::List, "dockerd, classic", 10, 4),
                row(What::Tag, "wharf", 1, 2),
                row(What::Tag, "wharf", 10, 2),
                row(What::Tag, "dockerd, classic", 10, 30),
            ],
            memory: vec![Memory {
                who: "wharf",
                idle: 12_000_000,
                listed: 13_000_000,
                names: 10,
            }],
            missing: vec!["dockerd, containerd: not in PATH".into()],
            compared_at: 10,
        };
        let text = section.to_markdown();
        for line in [
            "| `GET /images/json`, 10 names, faster than dockerd, classic | ≥ 5 × | 4.00 × | **missed** by 20 % |",
            "| `POST /tag`, 10 names, faster than dockerd, classic | ≥ 10 × | 15.00 × | met |",
            "| `POST /tag`, 10 names, faster than dockerd, containerd | ≥ 10 × | | not measured |",
            "| `POST /tag`, 10 to 1 names | ≤ 1.3 × | 1.00 × | met |",
            "| memory, idle | ≤ 20 MB | 12.00 MB | met |",
            "Not measured: dockerd, containerd: not in PATH",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
