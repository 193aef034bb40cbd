/** @file All settings of a server, as a file or a program gives them: one schema checks them, and says what they are. */

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

/** Where adapters that clients bring are kept, and what these must be. */
export interface StoreSettings {
  /** The folder; made where there is none. */
  readonly folder: string;
  /** Bytes that all of them may take on disk; no limit by default. */
  readonly maxBytes?: number | undefined;
  /** Public ed25519 keys (PEM). Where there are some, adapters must be signed with one of them. */
  readonly signedBy?: readonly string[] | undefined;
}

/** Where the server answers to gRPC. */
export interface GrpcSettings {
  /** 0 takes a free one. */
  readonly port: number;
  /** That of HTTP by default. */
  readonly host?: string | undefined;
}

/** Settings of a server that a file can hold. */
export interface ServeSettings extends SessionSettings, HttpLimits {
  /** What the model is called in addresses; by default the last part of its own name. */
  readonly name?: string | undefined;
  /** 8080 by default; 0 takes a free one. */
  readonly port?: number | undefined;
  /** The address to listen on; 127.0.0.1 by default, which no other machine reaches. */
  readonly host?: string | undefined;
  /** Answers to gRPC, too; over HTTP alone by default. */
  readonly grpc?: GrpcSettings | undefined;
  /**
   * A folder with a folder for each adapter, such as `runs`; or such folders in an object store (`s3://BUCKET/PREFIX`) or in a
   * repository on the hub (`hf://ORG/NAME`). They are read and never written.
   */
  readonly adapters?: string | undefined;
  /** Where adapters of an object store or the hub are kept on the disk. */
  readonly cache?: CacheSettings | undefined;
  /** Keeps adapters that clients bring; without it they can bring none. */
  readonly store?: StoreSettings | undefined;
  /** Name of the task that `/predict` answers for; by default that of the adapter, of the base the usual one of its family. */
  readonly task?: string | undefined;
  /** Values of the task's settings. */
  readonly settings?: PredictorOptions['settings'];
  /** Speaks HTTPS, and gRPC over TLS; both in the clear without it. */
  readonly tls?: TlsSettings | undefined;
  /** Who may ask; everybody by default. */
  readonly keys?: readonly KeySettings[] | undefined;
  /** How large batches become. */
  readonly batches?: BatchLimits | undefined;
  /** How much may wait. */
  readonly queue?: QueueLimits | undefined;
  /**
   * Bytes of memory that the process is to stay below: as they become few, adapters in memory and batches become smaller, and then
   * requests are refused. No limit by default.
   */
  readonly maxMemoryBytes?: number | undefined;
  /** What is written down; failures by default. */
  readonly log?: LogLevel | undefined;
  /** Milliseconds that requests have to end in when the server is closed; 30,000 by default. */
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

/** What settings are called. */
export const settingNames: readonly string[] = Object.keys(schema.shape);

/**
 * Settings, checked.
 *
 * @param given keys and values as they stand in a file
 * @param where what errors call them, such as the file's name
 * @throws OnnxLoraError `CONFIG_INVALID` that names the key
 */
export function serveSettings(given: unknown, where: string): ServeSettings {
  const { data, error } = schema.safeParse(given);
  if (!error) return data as ServeSettings;
  // A key that is mistyped is often missing, too.
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
