//! Views of Rust memory for JavaScript: the plan of a turn, and segment maps. The
//! only `unsafe` of the binding.
//!
//! What keeps them sound: the plan's memory lives as long as the worker, and
//! `have_moved` makes TypeScript take the views again before it reads them when
//! a vector has grown; a map stays in its slot until TypeScript has detached the
//! view and released the slot.

use std::sync::Arc;

use millrace_core::engine::Plan;
use millrace_core::mmap::SegmentMap;
use napi::bindgen_prelude::{Float64Array, Uint8Array};

/// Where the plan's vectors were when JavaScript last took its views, and how long:
/// a vector may grow without moving.
#[derive(Default)]
pub struct PlanViews {
    words: (usize, usize),
    arena: (usize, usize),
}

fn place_of<T>(vector: &Vec<T>) -> (usize, usize) {
    (vector.as_ptr() as usize, vector.capacity())
}

impl PlanViews {
    pub fn have_moved(&self, plan: &Plan) -> bool {
        self.words != place_of(&plan.words) || self.arena != place_of(&plan.arena)
    }

    pub fn words(&mut self, plan: &Plan) -> Float64Array {
        self.words = place_of(&plan.words);
        // SAFETY: the vector owns `capacity` words at this address until it grows
        // or the worker is dropped; TypeScript reads only the first `words[0]`,
        // and takes the view again whenever `have_moved` says so.
        unsafe { Float64Array::with_external_data(plan.words.as_ptr().cast_mut(), plan.words.capacity(), |_, _| {}) }
    }

    pub fn arena(&mut self, plan: &Plan) -> Uint8Array {
        self.arena = place_of(&plan.arena);
        // SAFETY: as for the words; TypeScript reads only ranges that the plan of
        // the turn at hand names.
        unsafe { Uint8Array::with_external_data(plan.arena.as_ptr().cast_mut(), plan.arena.capacity(), |_, _| {}) }
    }
}

/// A view of a whole segment map.
pub fn of_map(map: &Arc<SegmentMap>) -> Uint8Array {
    let bytes = map.as_slice();
    // SAFETY: the worker's slot holds the map until TypeScript has detached this
    // view. The memory is mapped read-only and only ever given to socket writes.
    unsafe { Uint8Array::with_external_data(bytes.as_ptr().cast_mut(), bytes.len(), |_, _| {}) }
}
