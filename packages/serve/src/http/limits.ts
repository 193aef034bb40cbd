/** @file How much a client may send. */

/** Bounds of what a client may send, over HTTP and gRPC. */
export interface HttpLimits {
  /** Bytes of a body; 64 MiB by default. */
  readonly maxBodyBytes?: number;
  /** Bytes of an adapter that a client brings, which are in memory meanwhile; 256 MiB by default. */
  readonly maxUploadBytes?: number;
  /** Bytes of all bodies that are in memory at a time; 1 GiB by default. */
  readonly maxBodiesBytes?: number;
  /** Milliseconds in which a request must have come; 60,000 by default. */
  readonly requestTimeout?: number;
}

/** Bytes. */
export const MEGABYTE: number = 2 ** 20;
/** Bytes of a body. */
export const MAX_BODY_BYTES: number = 64 * MEGABYTE;
/** Bytes of all of them. */
export const MAX_BODIES_BYTES: number = 1024 * MEGABYTE;
/** Milliseconds in which a request must have come. */
export const REQUEST_TIMEOUT = 60_000;
