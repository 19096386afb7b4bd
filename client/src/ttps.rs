//! Techniques that were seen, and statistics, over HTTP (SPEC §7.17).

use hashpact_protocol::api::{StatisticsJson, StatisticsQuery, TaxonomyJson, TtpsPage, TtpsQuery};
use reqwest::Method;

use crate::client::Client;
use crate::error::ClientError;
use crate::retry::Repeat;

impl Client {
    /// A page of techniques that were seen.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn ttps(&self, query: &TtpsQuery) -> Result<TtpsPage, ClientError> {
        let url = self.url("v1/ttps");
        self.json(self.request(Method::GET, &url).query(query), &url, Repeat::Safe).await
    }

    /// Counts of them by month.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn ttp_statistics(&self, query: &StatisticsQuery) -> Result<StatisticsJson, ClientError> {
        self.statistics("v1/ttps/statistics", query).await
    }

    /// Counts by month of what files say about how they were made.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn genmeta_statistics(&self, query: &StatisticsQuery) -> Result<StatisticsJson, ClientError> {
        self.statistics("v1/reports/genmeta", query).await
    }

    /// The techniques that records may name.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn taxonomy(&self) -> Result<TaxonomyJson, ClientError> {
        self.get(&self.url("v1/ttps/taxonomy")).await
    }

    async fn statistics(&self, path: &str, query: &StatisticsQuery) -> Result<StatisticsJson, ClientError> {
        let url = self.url(path);
        self.json(self.request(Method::GET, &url).query(query), &url, Repeat::Safe).await
    }
}
