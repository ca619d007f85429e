//! How far the orchestrator has come in ending.

use tokio::sync::watch;

/// What is still done. Each stage includes those before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Everything.
    Routing,
    /// What was not answered in time is told so.
    Unanswered,
    /// What is followed is told that it no longer is.
    Unfollowed,
}

/// Sees how far it has come.
#[derive(Debug, Clone)]
pub(super) struct Stages(watch::Receiver<Stage>);

impl Stages {
    /// The beginning, and what moves it on.
    pub(super) fn begin() -> (watch::Sender<Stage>, Self) {
        let (sender, stages) = watch::channel(Stage::Routing);
        (sender, Self(stages))
    }

    /// Comes true when this stage is reached.
    pub(super) async fn reach(&mut self, stage: Stage) {
        // An error says that the orchestrator is gone.
        let _ = self.0.wait_for(|reached| *reached >= stage).await;
    }
}
