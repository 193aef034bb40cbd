/** @file The test kit's graphs, for tests that compare graphs with what they compute. */

export { cpuSession, difference, modelFrom, modelOf, runOnce } from '../../packages/testing/src/graphs.ts';
