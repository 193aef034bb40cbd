/** @file The server's settings, checked by one schema. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { didYouMean, type PredictorOptions } from '@onnx-lora/sdk/plugin';
import { z } from 'zod';
import type { CacheSettings } from '../adapters/adaptersAt.ts';
import type { HttpLimits } from '../http/bodies.ts';
import type { SessionSettings } from '../inference/sessions.ts';
import type { BatchLimits } from '../scheduler/batch.ts';
import type { QueueLimits } from '../scheduler/options.ts';
import type { KeySettings } from './access.ts';
import type { LogLevel } from './log.ts';
import type { TlsSettings } from './tls.ts';

/** The store of uploaded adapters. */
export interface StoreSettings {
  /** The folder, created if missing. */
  readonly folder: string;
  /** Maximum bytes on disk; unlimited by default. */
  readonly maxBytes?: number | undefined;
  /** Public ed25519 keys (PEM). If any, adapters must be signed with one of them. */
  readonly signedBy?: readonly string[] | undefined;
}

/** The gRPC listener. */
export interface GrpcSettings {
  /** Port; 0 takes a free one. */
  readonly port: number;
  /** Host; HTTP's by default. */
  readonly host?: string | undefined;
}

/** Settings of a server, as a file can hold them. */
export interface ServeSettings extends SessionSettings, HttpLimits {
  /** Name of the model in URLs; the last part of its own name by default. */
  readonly name?: string | undefined;
  /** Port; 8080 by default, 0 takes a free one. */
  readonly port?: number | undefined;
  /** Host to listen on; 127.0.0.1 by default, which is local only. */
  readonly host?: string | undefined;
  /** Also serves gRPC; HTTP only by default. */
  readonly grpc?: GrpcSettings | undefined;
  /**
   * A folder with a folder per adapter, such as `runs`, or the like in an object store (`s3://BUCKET/PREFIX`) or hub
   * repository (`hf://ORG/NAME`). Read only.
   */
  readonly adapters?: string | undefined;
  /** The disk cache of remote adapters. */
  readonly cache?: CacheSettings | undefined;
  /** Stores uploaded adapters; without it there are no uploads. */
  readonly store?: StoreSettings | undefined;
  /** Task of `/predict`; by default the adapter's, and for the base the family's usual one. */
  readonly task?: string | undefined;
  /** Settings of the task. */
  readonly settings?: PredictorOptions['settings'];
  /** Uses TLS for HTTP and gRPC; plain by default. */
  readonly tls?: TlsSettings | undefined;
  /** API keys; open to everybody by default. */
  readonly keys?: readonly KeySettings[] | undefined;
  /** Limits of batches. */
  readonly batches?: BatchLimits | undefined;
  /** Limits of the queue. */
  readonly queue?: QueueLimits | undefined;
  /**
   * Memory limit of the process in bytes: near it, adapters in memory and batches shrink, then requests are refused.
   * Unlimited by default.
   */
  readonly maxMemoryBytes?: number | undefined;
  /** Log level; `failures` by default. */
  readonly log?: LogLevel | undefined;
  /** Milliseconds for running requests when the server closes; 30,000 by default. */
  readonly drainTimeout?: number | undefined;
}

const count = z.int().min(1);
const port = z.int().min(0).max(65_535);
const host = z.string().min(1);
const part = z.number().min(0).max(1);
const names = z.array(z.string().min(1));

const keySchema = z.strictObject({
  tenant: z.string().min(1).max(200),
  sha256: z.string().regex(/^[0-9a-fA-F]{64}$/, 'must be 64 hexadecimal digits: printf %s KEY | sha256sum'),
  weight: z.number().positive().optional(),
  requestsPerMinute: z.number().positive().optional(),
  adapters: names.optional(),
  admin: z.boolean().optional(),
});

const schema = z.strictObject({
  name: z
    .string()
    .regex(/^[\w.-]{1,128}$/, 'must be 1 to 128 letters, digits, ".", "_" and "-"')
    .optional(),
  port: port.optional(),
  host: host.optional(),
  grpc: z.strictObject({ port, host: host.optional() }).optional(),
  adapters: z.string().min(1).optional(),
  cache: z
    .strictObject({ folder: z.string().min(1), maxBytes: count, refresh: count })
    .partial()
    .optional(),
  store: z
    .strictObject({ folder: z.string().min(1), maxBytes: count.optional(), signedBy: names.optional() })
    .optional(),
  task: z.string().min(1).optional(),
  settings: z.record(z.string(), z.unknown()).optional(),
  tls: z.strictObject({ cert: z.string().min(1), key: z.string().min(1) }).optional(),
  keys: z.array(keySchema).optional(),
  batches: z
    .strictObject({ maxRows: count, maxCells: count, maxPadding: part, maxAdapters: count })
    .partial()
    .optional(),
  queue: z.strictObject({ maxWaitingRows: count, maxWaitingBytes: count, maxWait: count }).partial().optional(),
  drainTimeout: count.optional(),
  log: z.enum(['requests', 'failures', 'nothing']).optional(),
  maxBodyBytes: count.optional(),
  maxUploadBytes: count.optional(),
  maxBodiesBytes: count.optional(),
  requestTimeout: count.optional(),
  maxAdapterBytes: count.optional(),
  maxSessions: count.optional(),
  replicas: count.optional(),
  maxMemoryBytes: count.optional(),
  targetModules: z.union([z.string().min(1), names]).optional(),
  modulesToSave: names.optional(),
  useDora: z.boolean().optional(),
  allowBaseMismatch: z.boolean().optional(),
  provider: z.string().min(1).optional(),
  threads: count.optional(),
  worker: z.boolean().optional(),
} satisfies Record<keyof ServeSettings, z.ZodType>);

export const settingNames: readonly string[] = Object.keys(schema.shape);

/**
 * Checks settings.
 * @param given keys and values of a file
 * @param where their source in messages, such as the file's name
 * @throws OnnxLoraError `CONFIG_INVALID`, naming the key
 */
export function serveSettings(given: unknown, where: string): ServeSettings {
  const { data, error } = schema.safeParse(given);
  if (!error) return data as ServeSettings;
  // A mistyped key often means that another is missing.
  const issue = error.issues.find(({ code }) => code === 'unrecognized_keys') ?? error.issues[0]!;
  const at = issue.path.join('.');
  if (issue.code === 'unrecognized_keys') {
    const [key] = issue.keys as [string];
    const hint = at === '' ? didYouMean(key, Object.keys(schema.shape)) : '';
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `There is no "${[...issue.path, key].join('.')}" among the settings of ${where}.${hint}`,
    );
  }
  throw new OnnxLoraError('CONFIG_INVALID', `"${at}" of ${where} is not as it should be: ${issue.message}.`);
}
