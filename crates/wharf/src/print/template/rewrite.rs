//! Turns field accesses into calls of a function that knows structs and maps, marks the place of each call,
//! and lets every result pass a function that prints it. The places are for errors in Go's words.

use std::sync::Arc;

use gotmpl::parse::{
    BranchNode, CommandNode, Expr, ListNode, Node, Number, PipeNode, Pos, SmolStr,
};

use super::functions::{FAIL, FIELD, ITERATE, MARK, METHOD, PRINT, wrong_count};
use super::functions::{is_function, is_special};
use super::places::{Place, literal, shown, shown_command, shown_pipe};

/// The variable that is always there: the template's argument.
const ROOT: &str = "$";

/// Rewrites templates of one source.
pub(super) struct Rewrite<'s> {
    source: &'s str,
    /// The names of the templates that it defines.
    defined: Vec<String>,
    /// The template that is being rewritten.
    name: String,
    variables: Vec<SmolStr>,
    places: Vec<Place>,
}

impl<'s> Rewrite<'s> {
    pub(super) fn new(source: &'s str, defined: Vec<String>) -> Self {
        Self {
            source,
            defined,
            name: String::new(),
            variables: Vec::new(),
            places: Vec::new(),
        }
    }

    /// Rewrites the template `name` in place. Fails if it uses a function or a variable that does not exist.
    pub(super) fn template(&mut self, list: &mut ListNode, name: &str) -> Result<(), String> {
        name.clone_into(&mut self.name);
        self.variables = vec![SmolStr::new(ROOT)];
        self.list(list)
    }

    /// Returns the places of all calls.
    pub(super) fn into_places(self) -> Vec<Place> {
        self.places
    }

    fn list(&mut self, list: &mut ListNode) -> Result<(), String> {
        list.nodes.iter_mut().try_for_each(|node| self.node(node))
    }

    fn node(&mut self, node: &mut Node) -> Result<(), String> {
        match node {
            Node::List(list) => self.list(list),
            Node::Action(action) => {
                self.pipe(&mut action.pipe)?;
                if action.pipe.decl.is_empty() {
                    action.pipe.commands.push(call(action.pos, PRINT, []));
                }
                Ok(())
            }
            Node::If(branch) | Node::With(branch) => self.branch(branch, None),
            Node::Range(branch) => {
                let text = shown_pipe(&branch.pipe);
                let at = branch.pipe.commands.first().map_or(branch.pos, first_pos);
                let check = call(at, ITERATE, [string(at, self.head(at, &text))]);
                self.branch(branch, Some(check))
            }
            Node::Template(call) => {
                let name = call.name.to_string();
                if let Some(pipe) = &mut call.pipe {
                    self.pipe(pipe)?;
                }
                if !self.defined.contains(&name) {
                    let quoted = format!("{name:?}");
                    let after = self.source.get(call.pos.offset..).unwrap_or_default();
                    let skip = after.find(&quoted).unwrap_or_default();
                    let at = further(call.pos, skip);
                    let text = format!("{{{{template {quoted}}}}}");
                    let message =
                        format!("{}: template {quoted} not defined", self.head(at, &text));
                    call.pipe = Some(alone(at, fail(at, message)));
                }
                Ok(())
            }
            Node::Define(define) => self.list(&mut define.body),
            Node::Text(_) | Node::Break(_) | Node::Continue(_) => Ok(()),
        }
    }

    /// Variables of a block are gone behind it.
    fn branch(
        &mut self,
        branch: &mut BranchNode,
        check: Option<CommandNode>,
    ) -> Result<(), String> {
        let outside = self.variables.len();
        self.pipe(&mut branch.pipe)?;
        branch.pipe.commands.extend(check);
        self.list(&mut branch.body)?;
        if let Some(body) = &mut branch.else_body {
            self.list(body)?;
        }
        self.variables.truncate(outside);
        Ok(())
    }

    fn pipe(&mut self, pipe: &mut PipeNode) -> Result<(), String> {
        let mut commands = Vec::new();
        for (number, mut command) in std::mem::take(&mut pipe.commands).into_iter().enumerate() {
            let piped = number > 0;
            let before = self.command(&mut command, piped)?;
            commands.extend(before);
            commands.push(command);
        }
        pipe.commands = commands;
        if !pipe.is_assign {
            self.variables.extend(pipe.decl.iter().cloned());
        }
        Ok(())
    }

    /// Rewrites a command. Returns what has to run before it in the pipeline.
    fn command(
        &mut self,
        command: &mut CommandNode,
        piped: bool,
    ) -> Result<Option<CommandNode>, String> {
        let text = shown_command(command);
        let at = first_pos(command);
        let arguments = command.args.len() - 1;
        let with_arguments = arguments > 0 || piped;
        if let Expr::Identifier(pos, name) = &command.args[0] {
            let (pos, name) = (*pos, name.clone());
            return self.function(command, pos, &name, &text, piped);
        }
        let first = shown(&command.args[0]);
        let refused = match &command.args[0] {
            Expr::Nil(_) => Some("nil is not a command".to_owned()),
            Expr::Field(..) | Expr::Variable(..) | Expr::Chain(..) => None,
            _ if with_arguments => Some(format!("can't give argument to non-function {first}")),
            _ => None,
        };
        let method = with_arguments && refused.is_none();
        if method && let Some(call) = self.method(&command.args[0])? {
            let mut all = call.args;
            for argument in command.args.drain(1..) {
                all.push(argument);
            }
            all.iter_mut()
                .skip(4)
                .try_for_each(|arg| self.expression(arg))?;
            command.args = all;
            return Ok(None);
        }
        command
            .args
            .iter_mut()
            .try_for_each(|arg| self.expression(arg))?;
        if let Some(reason) = refused
            .or_else(|| method.then(|| format!("can't give argument to non-function {first}")))
        {
            let message = format!("{}: {reason}", self.head(at, &first));
            *command = fail(at, message);
        }
        Ok(None)
    }

    /// A call of a function: marks its place, and refuses a wrong number of arguments when it runs.
    fn function(
        &mut self,
        command: &mut CommandNode,
        pos: Pos,
        name: &SmolStr,
        text: &str,
        piped: bool,
    ) -> Result<Option<CommandNode>, String> {
        if !is_function(name) {
            return Err(format!(
                "template: :{}: function {name:?} not defined",
                pos.line
            ));
        }
        let count = command.args.len() - 1 + usize::from(piped);
        let place = Place {
            function: name.to_string(),
            head: self.head(pos, text),
            arguments: command.args[1..]
                .iter()
                .map(|arg| (self.head(arg.pos(), &shown(arg)), literal(arg)))
                .collect(),
        };
        command.args[1..]
            .iter_mut()
            .try_for_each(|arg| self.expression(arg))?;
        if let Some(reason) = wrong_count(name, count) {
            let message = format!("{}: {reason}", self.head(pos, name));
            *command = fail(pos, message);
            return Ok(None);
        }
        if is_special(name) {
            return Ok(None);
        }
        let number = Expr::Number(
            pos,
            Number::Int(i64::try_from(self.places.len()).unwrap_or(-1)),
        );
        self.places.push(place);
        match command.args.len() {
            1 if piped => return Ok(Some(call(pos, MARK, [number]))),
            1 => {}
            length => {
                let last = command.args[length - 1].clone();
                let marked = alone(pos, call(pos, MARK, [number, last]));
                command.args[length - 1] = Expr::Pipe(pos, marked);
            }
        }
        Ok(None)
    }

    fn expression(&mut self, expression: &mut Expr) -> Result<(), String> {
        let text = shown(expression);
        match expression {
            Expr::Pipe(_, pipe) => self.pipe(pipe),
            Expr::Identifier(pos, name) => {
                let (pos, name) = (*pos, name.clone());
                let mut command = CommandNode {
                    pos,
                    args: vec![expression.clone()],
                };
                self.function(&mut command, pos, &name, &name, false)?;
                *expression = Expr::Pipe(pos, alone(pos, command));
                Ok(())
            }
            Expr::Field(pos, fields) => {
                // Of several fields, Go names the place of the second.
                let skip = if fields.len() > 1 {
                    ".".len() + fields[0].len()
                } else {
                    0
                };
                let (at, fields) = (further(*pos, skip), fields.clone());
                *expression = self.field(at, Expr::Dot(at), &text, &fields);
                Ok(())
            }
            Expr::Variable(pos, name, fields) => {
                if !self.variables.contains(name) {
                    return Err(format!(
                        "template: :{}: undefined variable {name:?}",
                        pos.line
                    ));
                }
                if fields.is_empty() {
                    return Ok(());
                }
                let at = further(*pos, name.len());
                let receiver = Expr::Variable(*pos, name.clone(), Vec::new());
                let fields = fields.clone();
                *expression = self.field(at, receiver, &text, &fields);
                Ok(())
            }
            Expr::Chain(pos, inner, fields) => {
                let (at, fields) = (*pos, fields.clone());
                let text = format!("(…).{}", fields.join("."));
                self.expression(inner)?;
                let receiver = (**inner).clone();
                *expression = self.field(at, receiver, &text, &fields);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// `method receiver "template: :1:2: …" "Name"`, to which arguments are added; `None` if there is no
    /// field.
    fn method(&mut self, first: &Expr) -> Result<Option<CommandNode>, String> {
        let (Expr::Field(pos, fields)
        | Expr::Variable(pos, _, fields)
        | Expr::Chain(pos, _, fields)) = first
        else {
            return Ok(None);
        };
        let (Some((name, above)), pos) = (fields.split_last(), *pos) else {
            return Ok(None);
        };
        let above = above.to_vec();
        let mut receiver = match first {
            Expr::Variable(pos, variable, _) => Expr::Variable(*pos, variable.clone(), above),
            Expr::Chain(_, inner, _) if above.is_empty() => (**inner).clone(),
            Expr::Chain(pos, inner, _) => Expr::Chain(*pos, inner.clone(), above),
            _ if above.is_empty() => Expr::Dot(pos),
            _ => Expr::Field(pos, above),
        };
        self.expression(&mut receiver)?;
        let place = self.head(pos, &shown(first));
        let args = [receiver, string(pos, place), string(pos, name.to_string())];
        Ok(Some(call(pos, METHOD, args)))
    }

    /// `field receiver "template: :1:2: …" "Name" …`.
    fn field(&self, pos: Pos, receiver: Expr, text: &str, fields: &[SmolStr]) -> Expr {
        let mut command = call(pos, FIELD, [receiver, string(pos, self.head(pos, text))]);
        let names = fields.iter().map(|field| string(pos, field.to_string()));
        command.args.extend(names);
        Expr::Pipe(pos, alone(pos, command))
    }

    /// How Go begins an error at a place.
    fn head(&self, at: Pos, text: &str) -> String {
        let (name, line, column) = (&self.name, at.line, self.column(at.offset));
        format!("template: :{line}:{column}: executing {name:?} at <{text}>")
    }

    /// Go counts bytes from the line's beginning.
    fn column(&self, offset: usize) -> usize {
        let before = self.source.get(..offset).unwrap_or_default();
        offset - before.rfind('\n').map_or(0, |at| at + 1)
    }
}

fn first_pos(command: &CommandNode) -> Pos {
    command.args.first().map_or(command.pos, Expr::pos)
}

fn further(pos: Pos, skip: usize) -> Pos {
    Pos::new(pos.offset + skip, pos.line)
}

fn string(pos: Pos, text: String) -> Expr {
    Expr::String(pos, Arc::from(text))
}

fn call<const N: usize>(pos: Pos, name: &str, arguments: [Expr; N]) -> CommandNode {
    let mut args = vec![Expr::Identifier(pos, SmolStr::new(name))];
    args.extend(arguments);
    CommandNode { pos, args }
}

/// A command that fails when it runs.
fn fail(pos: Pos, message: String) -> CommandNode {
    call(pos, FAIL, [string(pos, message)])
}

fn alone(pos: Pos, command: CommandNode) -> PipeNode {
    PipeNode {
        pos,
        decl: Vec::new(),
        commands: vec![command],
        is_assign: false,
    }
}
