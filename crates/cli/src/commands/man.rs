//! `exokit man`: manual pages.

use clap::CommandFactory as _;
use clap_mangen::Man;

use crate::args::{Cli, ManArgs};
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::settings::Settings;

pub(crate) fn run(settings: &Settings, args: &ManArgs) -> Result<Exit, CliError> {
    let mut command = Cli::command();
    command.build();
    match &args.folder {
        None => {
            let mut page = Vec::new();
            Man::new(command).render(&mut page).doing("writing", "the manual page")?;
            settings.output.raw(&page)?;
        }
        Some(folder) => {
            std::fs::create_dir_all(folder).doing("making", folder.display())?;
            clap_mangen::generate_to(command, folder).doing("writing pages to", folder.display())?;
            settings.output.note(&format!("The manual pages are in {}.", folder.display()));
        }
    }
    Ok(Exit::Done)
}
