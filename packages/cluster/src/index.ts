/** @file Runs commands of onnx-lora as jobs on a Ray cluster. */

export { authToken, dashboardOf } from './address.ts';
export { type Channel, ChannelExchange, type PartJob } from './channelExchange.ts';
export { type JobRequest, type JobStatus, type RayJob, RayJobs } from './rayJobs.ts';
