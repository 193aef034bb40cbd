/** @file The test kit's graphs, for tests that compare graphs and their outputs. */

export { cpuSession, difference, modelFrom, modelOf, runOnce } from '../../packages/testing/src/graphs.ts';
