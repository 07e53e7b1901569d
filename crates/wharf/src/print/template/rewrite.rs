//! Turns field accesses into calls of a function that knows structs and maps, and lets every result
//! pass one that prints it. The places in the source go along, for errors in Go's words.

use std::sync::Arc;

use gotmpl::parse::{CommandNode, Expr, ListNode, Node, PipeNode, Pos, SmolStr};

use super::functions::{FIELD, PRINT, is_function};

/// Rewrites the template `name` in place. Fails if it calls a function that there isn't.
pub(super) fn rewrite(list: &mut ListNode, name: &str, source: &str) -> Result<(), String> {
    Rewrite { name, source }.list(list)
}

struct Rewrite<'s> {
    name: &'s str,
    source: &'s str,
}

impl Rewrite<'_> {
    fn list(&self, list: &mut ListNode) -> Result<(), String> {
        list.nodes.iter_mut().try_for_each(|node| self.node(node))
    }

    fn node(&self, node: &mut Node) -> Result<(), String> {
        match node {
            Node::List(list) => self.list(list),
            Node::Action(action) => {
                self.pipe(&mut action.pipe)?;
                if action.pipe.decl.is_empty() {
                    let args = vec![Expr::Identifier(action.pos, SmolStr::new(PRINT))];
                    action.pipe.commands.push(CommandNode {
                        pos: action.pos,
                        args,
                    });
                }
                Ok(())
            }
            Node::If(branch) | Node::Range(branch) | Node::With(branch) => {
                self.pipe(&mut branch.pipe)?;
                self.list(&mut branch.body)?;
                branch
                    .else_body
                    .as_mut()
                    .map_or(Ok(()), |body| self.list(body))
            }
            Node::Template(call) => call.pipe.as_mut().map_or(Ok(()), |pipe| self.pipe(pipe)),
            Node::Define(define) => self.list(&mut define.body),
            Node::Text(_) | Node::Break(_) | Node::Continue(_) => Ok(()),
        }
    }

    fn pipe(&self, pipe: &mut PipeNode) -> Result<(), String> {
        let args = pipe
            .commands
            .iter_mut()
            .flat_map(|command| command.args.iter_mut());
        args.into_iter().try_for_each(|arg| self.expression(arg))
    }

    fn expression(&self, expression: &mut Expr) -> Result<(), String> {
        match expression {
            Expr::Pipe(_, pipe) => self.pipe(pipe),
            Expr::Identifier(pos, name) if !is_function(name) => Err(format!(
                "template: :{}: function {name:?} not defined",
                pos.line
            )),
            Expr::Field(pos, fields) => {
                let text = format!(".{}", joined(fields));
                // Of several fields, Go names the place of the second.
                let skip = if fields.len() > 1 {
                    ".".len() + fields[0].len()
                } else {
                    0
                };
                let at = Pos {
                    offset: pos.offset + skip,
                    ..*pos
                };
                *expression = self.call(at, Expr::Dot(at), &text, fields);
                Ok(())
            }
            Expr::Variable(pos, name, fields) if !fields.is_empty() => {
                let text = format!("{name}.{}", joined(fields));
                let at = Pos {
                    offset: pos.offset + name.len(),
                    ..*pos
                };
                let receiver = Expr::Variable(*pos, name.clone(), Vec::new());
                *expression = self.call(at, receiver, &text, fields);
                Ok(())
            }
            Expr::Chain(pos, inner, fields) => {
                self.expression(inner)?;
                if !matches!(**inner, Expr::Identifier(..)) {
                    let text = format!("(…).{}", joined(fields));
                    *expression = self.call(*pos, (**inner).clone(), &text, fields);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// `field receiver "template: :1:2: …" "Name" …`.
    fn call(&self, pos: Pos, receiver: Expr, text: &str, fields: &[SmolStr]) -> Expr {
        let string = |text: String| Expr::String(pos, Arc::from(text));
        let (name, line, column) = (self.name, pos.line, self.column(pos.offset));
        let place = format!("template: :{line}:{column}: executing {name:?} at <{text}>");
        let mut args = vec![
            Expr::Identifier(pos, SmolStr::new(FIELD)),
            receiver,
            string(place),
        ];
        args.extend(fields.iter().map(|field| string(field.to_string())));
        let commands = vec![CommandNode { pos, args }];
        Expr::Pipe(
            pos,
            PipeNode {
                pos,
                decl: Vec::new(),
                commands,
                is_assign: false,
            },
        )
    }

    /// Go counts bytes from the line's beginning.
    fn column(&self, offset: usize) -> usize {
        let before = self.source.get(..offset).unwrap_or_default();
        offset - before.rfind('\n').map_or(0, |at| at + 1)
    }
}

fn joined(fields: &[SmolStr]) -> String {
    fields
        .iter()
        .map(SmolStr::as_str)
        .collect::<Vec<_>>()
        .join(".")
}
