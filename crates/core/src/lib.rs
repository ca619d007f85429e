//! The pure core: selection, cost, level, plan, walk, operation state machine.
