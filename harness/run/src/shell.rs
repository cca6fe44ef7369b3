//! A person in a sandbox: a shell on a terminal, over the same wire and the same proxy as a cell.
//! It touches no terminal itself: the caller gives bytes, takes bytes and reports sizes.

use std::sync::Arc;

use assay_content::proxy::Names;
use assay_sandbox::session::Session;
use assay_wire::control::{Purpose, TerminalSize, ToExecutor};
use assay_wire::digest::Digest;
use assay_wire::name::CellId;
use assay_wire::program::{HarnessEnv, Program};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::cell::{Context, far_from};
use crate::drive::Driver;

/// A shell that could not be had.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ShellError {
    /// What went wrong.
    pub message: String,
}

/// What a shell is started with.
#[derive(Debug, Clone)]
pub struct ShellSpec {
    /// The cell whose sandbox it is.
    pub cell: CellId,
    /// What the harness adds, as for the cell.
    pub harness: HarnessEnv,
    /// The hosts it may ask beside the image's own, as for the cell.
    pub names: Names,
    /// True for root's shell, false for `dev`'s.
    pub root: bool,
    /// The terminal's size.
    pub size: TerminalSize,
}

/// Connects `input` and `output` with a shell in a started session, until the shell ends or
/// `input` does.
///
/// # Errors
/// If the executor does not answer as it should.
pub async fn run_shell<R, W>(
    context: &Arc<Context>,
    session: &mut Session,
    spec: &ShellSpec,
    mut input: R,
    mut output: W,
    mut sizes: mpsc::UnboundedReceiver<TerminalSize>,
) -> Result<(), ShellError>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin,
{
    let broken = |error: &dyn std::fmt::Display| ShellError {
        message: error.to_string(),
    };
    let channel = session
        .channel()
        .ok_or_else(|| broken(&"the session's stream was taken before"))?;
    // A person may take their time.
    let deadline = far_from(Instant::now(), std::time::Duration::MAX);
    let mut driver = Driver::new(
        spec.cell.clone(),
        Arc::clone(&context.journal),
        (context.serve_connection(), spec.names.clone()),
        deadline,
        channel,
    );
    driver
        .hello(Digest::of(&context.executor))
        .await
        .map_err(|error| broken(&error))?;
    let certificate = Some(context.certificate.clone());
    let program = Program {
        harness: spec.harness.clone(),
        certificate,
        becomes_image: false,
        runs: Vec::new(),
    };
    driver
        .send_program(program)
        .await
        .map_err(|error| broken(&error))?;

    let link = driver.link().clone();
    let (stream, end) = link.open(Purpose::Pty {
        size: spec.size,
        root: spec.root,
    });
    let (mut from_shell, mut to_shell) = tokio::io::split(end);
    let talk = async {
        let mut typed = vec![0; 4096];
        let mut printed = vec![0; 64 << 10];
        loop {
            tokio::select! {
                read = input.read(&mut typed) => match read {
                    Ok(count @ 1..) => to_shell.write_all(&typed[..count]).await?,
                    // The person has gone: so does the shell.
                    Ok(0) | Err(_) => return Ok(()),
                },
                read = from_shell.read(&mut printed) => match read? {
                    0 => return Ok(()),
                    count => {
                        output.write_all(&printed[..count]).await?;
                        output.flush().await?;
                    }
                },
                Some(size) = sizes.recv() => link.send(&ToExecutor::Resize { stream, size }),
            }
        }
    };
    tokio::select! {
        talked = talk => talked.map_err(|error: std::io::Error| broken(&error)),
        () = driver.serve_until_gone() => Err(ShellError { message: "the sandbox has ended".into() }),
    }
}
