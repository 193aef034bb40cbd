/** @file Whether tests of minutes run: `.ci/nightly` sets the environment variable. */

export const isNightly: boolean = process.env['NIGHTLY'] !== undefined;
