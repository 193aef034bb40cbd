/** @file What a merged file says of its branches, so that they can be taken out again to the last bit. */

import { createHash } from 'node:crypto';
import { z } from 'zod';
import { OnnxLoraError } from '../../errors.ts';
import { memorySource, readBytes } from '../../graph/bytes.ts';
import { encodeModel } from '../../graph/file/encode.ts';
import { parseOnnx } from '../../graph/file/onnxFile.ts';
import type { GraphProto, ModelProto, NodeProto } from '../../graph/proto.ts';
import { floats } from '../../graph/tensorData.ts';
import { withInner } from '../../graph/uniqueNames.ts';
import type { GraphChange } from '../../lora/adapterInputs.ts';
import type { PlacedTuning } from '../../lora/methods/tuning.ts';
import { parseForeignJson } from '../formats/foreignJson.ts';

/** Where the metadata of a merged file say what of it are branches. */
const KEY = 'onnx_lora.branches';

/** What one call of `merge` has put beside layers. */
export interface BranchRecord {
  /** The adapters that the branches hold, each by the digest of its values there, and how much of it they hold. */
  readonly adapters: readonly { readonly sha256: string; readonly weight: number }[];
  /** What of the model has branches, as adapters tell it: paths of modules. */
  readonly slots: readonly string[];
  /** Nodes by their first outputs, and the nodes that they stand in place of: an encoded model in base64. */
  readonly changes: readonly { readonly nodes: readonly string[]; readonly before: string }[];
  /** Names of the tensors that came with the branches. */
  readonly tensors: readonly string[];
}

const recordsSchema: z.ZodType<BranchRecord[]> = z.array(
  z.strictObject({
    adapters: z.array(z.strictObject({ sha256: z.string().regex(/^[\da-f]{64}$/), weight: z.number() })),
    slots: z.array(z.string()),
    changes: z.array(z.strictObject({ nodes: z.array(z.string()).min(1), before: z.base64() })),
    tensors: z.array(z.string()),
  }),
);

/** What of an adapter is beside layers, and how much of it. */
export interface RecordedAdapter {
  readonly tunings: readonly PlacedTuning[];
  readonly weight: number;
}

/** sha256 of what an adapter has for these modules, whatever its file calls the tensors. */
export function branchDigest(tunings: readonly PlacedTuning[]): string {
  const lines = tunings.flatMap(({ tuning, saved }) => {
    return [...saved].map(([role, tensor]) => {
      const numbers = tensor.type.startsWith('int') ? tensor.data : floats(tensor);
      const hash = createHash('sha256').update(new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength));
      return JSON.stringify([tuning.slot, tuning.form ?? '', role, tensor.dims, hash.digest('hex')]);
    });
  });
  return createHash('sha256').update(lines.sort().join('\n')).digest('hex');
}

/** The model with a record of these branches, behind those that it has. */
export function withRecord(
  model: ModelProto,
  adapters: readonly RecordedAdapter[],
  changes: readonly GraphChange[],
  tensors: readonly string[],
): ModelProto {
  const record: BranchRecord = {
    adapters: adapters.map(({ tunings, weight }) => ({ sha256: branchDigest(tunings), weight })),
    slots: [...new Set(adapters.flatMap(({ tunings }) => tunings.map(({ tuning }) => tuning.slot)))],
    changes: changes.map(({ before, after }) => ({ nodes: after.map(nameOf), before: encoded(before) })),
    tensors: [...tensors],
  };
  return withRecords(model, [...branchRecords(model), record]);
}

/**
 * The records of a file, in the order in which branches came.
 *
 * @throws OnnxLoraError `MODEL_INVALID` for metadata that are no such records
 */
export function branchRecords({ metadataProps = [] }: ModelProto): BranchRecord[] {
  const text = metadataProps.find(({ key }) => key === KEY)?.value;
  if (text === undefined) return [];
  try {
    return recordsSchema.parse(parseForeignJson(text));
  } catch (cause) {
    throw new OnnxLoraError(
      'MODEL_INVALID',
      `The metadata "${KEY}" of the model are damaged, so what was merged into it cannot be told from the base. Merge into the base again.`,
      { cause },
    );
  }
}

/**
 * The model as it was before the last of its branches came: nodes and tensors are those of the base.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` where the graph no longer has the nodes that the record names
 */
export function withoutLastBranches(model: ModelProto, file: string): ModelProto & { readonly graph: GraphProto } {
  const records = branchRecords(model);
  const { changes, tensors } = records.at(-1)!;
  const firsts = new Map(changes.map(({ nodes: [first], before }) => [first!, before]));
  const left = new Set(changes.flatMap(({ nodes }) => nodes));
  const restored = (graph: GraphProto): GraphProto => ({
    ...graph,
    node: (graph.node ?? []).flatMap((node) => {
      const name = nameOf(node);
      if (!left.delete(name)) return [withInner(node, restored)];
      const before = firsts.get(name);
      return before === undefined ? [] : decoded(before, file);
    }),
  });
  const graph = restored(model.graph ?? {});
  if (left.size > 0) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${file}" no longer has all of the nodes that merging put beside its layers (${JSON.stringify([...left][0])} is gone): another program has rewritten it since. Use the base model that was merged into.`,
    );
  }
  const gone = new Set(tensors);
  const initializer = (graph.initializer ?? []).filter(({ name = '' }) => !gone.has(name));
  return { ...withRecords(model, records.slice(0, -1)), graph: { ...graph, initializer } };
}

function withRecords(model: ModelProto, records: readonly BranchRecord[]): ModelProto {
  const others = (model.metadataProps ?? []).filter(({ key }) => key !== KEY);
  if (records.length === 0 && others.length === model.metadataProps?.length) return model;
  const own = records.length > 0 ? [{ key: KEY, value: JSON.stringify(records) }] : [];
  return { ...model, metadataProps: [...others, ...own] };
}

/** The first output of a node, which no other node of a model has. */
function nameOf({ output = [] }: NodeProto): string {
  return output.find(Boolean) ?? '';
}

function encoded(node: readonly NodeProto[]): string {
  const chunks = encodeModel({ opsetImport: [{ version: 1 }], graph: { node: [...node] } });
  return Buffer.concat(chunks.map(readBytes)).toString('base64');
}

/** Checked as the nodes of a file are. */
function decoded(text: string, file: string): NodeProto[] {
  return parseOnnx(memorySource(Buffer.from(text, 'base64')), file).graph.node ?? [];
}
