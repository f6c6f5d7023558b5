/** What the integration tests share: the number of threads they run with. */

/** How many worker threads the brokers of this run have. */
export const THREADS = Number(process.env.MILLRACE_TEST_THREADS ?? 1);
