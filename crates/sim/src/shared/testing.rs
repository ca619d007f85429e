//! Items of a shared world for tests only.

use super::{SharedWorld, locked};
use crate::{SimError, World};
use bytes::Bytes;
use http::Request;

impl SharedWorld {
    /// Requests that have left their client and not arrived yet.
    pub fn on_the_way(&self) -> Vec<Request<Bytes>> {
        locked(&self.on_the_way).requests.values().cloned().collect()
    }

    /// A copy of the world as it would be if every client died now: what is on
    /// its way arrives late, or never, as the settings say. The world itself
    /// and its clients are left alone.
    pub fn without_clients(&self) -> Result<World, SimError> {
        let mut world = self.peek(World::clone)?;
        world.advance(self.now_ms());
        for request in self.on_the_way() {
            world.lose_client(&request);
        }
        Ok(world)
    }

    /// Reads the world as the last request left it, without letting time pass.
    pub fn peek<T>(&self, work: impl FnOnce(&World) -> T) -> Result<T, SimError> {
        let mut world = locked(&self.world);
        if let Some(file) = &self.file {
            file.reload(&mut file.acquire()?, &mut world)?;
        }
        Ok(work(&world))
    }
}
