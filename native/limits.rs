//! What holds publishers back as a whole: quotas and the pressure of low resources.

#![allow(clippy::needless_pass_by_value, reason = "napi hands strings over by value")]

use millrace_core::engine::Pressure;
use napi_derive::napi;

use crate::NativeEngine;
use crate::convert::{QuotaLimits, failed, integer, number};

#[napi]
impl NativeEngine {
    #[napi]
    pub fn quota_set(&self, bucket: String, quota: Option<QuotaLimits>) -> napi::Result<()> {
        self.engine().quota_set(bucket, quota.map(QuotaLimits::read).transpose()?);
        Ok(())
    }

    #[napi]
    pub fn quota_full(&self, bucket: String, is_full: bool) {
        self.engine().quota_full(&bucket, is_full);
    }

    #[napi]
    pub fn quota_connections(&self, bucket: String) -> f64 {
        number(self.engine().quota_connections(&bucket))
    }

    #[napi]
    pub fn publish_charge(&self, buckets: Vec<String>, messages: u32, bytes: f64) -> napi::Result<()> {
        self.engine().publish_charge(&buckets, u64::from(messages), integer(bytes)?).map_err(failed)
    }

    #[napi]
    pub fn pressure_set(&self, level: u8) {
        self.engine().set_pressure(Pressure::from(level));
    }

    #[napi]
    pub fn memory_log_bytes(&self) -> f64 {
        number(self.engine().store.memory_bytes())
    }

    #[napi]
    pub fn log_bytes(&self, ids: Vec<f64>) -> napi::Result<f64> {
        let ids = ids.into_iter().map(integer).collect::<napi::Result<Vec<u64>>>()?;
        Ok(number(self.engine().log_bytes(&ids)))
    }
}
