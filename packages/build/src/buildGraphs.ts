/** @file From a checkpoint to its graphs: nothing is read but headers, and nothing that config.json asks for is passed over. */

import path from 'node:path';
import { didYouMean, type Generation, type ModelFamily, writtenBy, type ModelProto } from '@onnx-lora/sdk/plugin';
import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Architecture } from './architecture.ts';
import { architectures as known } from './architectures/index.ts';
import { Config } from './checkpoint/config.ts';
import { ModuleNames } from './checkpoint/moduleNames.ts';
import { type Checkpoint, openCheckpoint } from './checkpoint/openCheckpoint.ts';
import { count, listed, Weights } from './checkpoint/weights.ts';
import { Graph, type GraphForm, type WeightType } from './layers/graph.ts';
import { Module } from './layers/module.ts';

/** Options of {@link buildGraphs}. */
export interface BuildOptions {
  /** Version of the standard operators, 17 (the default) or newer. */
  readonly opset?: number;
  /** How weights are stored: as the checkpoint has them (`stored`, the default), `float32` or `float16`. */
  readonly weights?: WeightType;
  /** The class of transformers to build, where it is not the one that config.json names: `T5EncoderModel`. */
  readonly architecture?: string;
  /**
   * `plain` (the default): operators of ONNX alone, for training and for every runtime. `fused`: those of ONNX Runtime where
   * they can do the work, for inference with it.
   */
  readonly form?: GraphForm;
  /** Names of tensors and of fields of config.json that the model is built without. */
  readonly ignore?: readonly string[];
  /** Architectures beside those that are known here, which they go before. */
  readonly architectures?: readonly Architecture[];
  /**
   * Families, such as those of `@onnx-lora/vision`: the one that recognises the checkpoint knows what transformers 4 and 5
   * call its modules. Without it modules have the names of transformers 4.
   */
  readonly families?: readonly ModelFamily[];
  /**
   * The version of transformers whose names the modules get, and so adapters that are trained on them: by default the
   * version that config.json says (`transformers_version`), or 4 where it says none.
   */
  readonly names?: Generation;
}

/** What was built. */
export interface BuiltGraphs {
  /** The class of transformers that the graphs are. */
  readonly architecture: string;
  /** The graphs by their files' names without the ending: `model`, or `vision_encoder` and others. */
  readonly graphs: ReadonlyMap<string, ModelProto>;
  /** Tensors of the checkpoint that the class does not use: other heads, a pooler. */
  readonly leftOut: readonly string[];
  /** What the graphs were built by: the fields of config.json that count, by their paths. */
  readonly config: Readonly<Record<string, unknown>>;
}

const forms: readonly GraphForm[] = ['plain', 'fused'];
const OLDEST_OPSET = 17;
/** What ONNX Runtime reads today. */
const NEWEST_OPSET = 22;

/**
 * Builds the ONNX graphs of a checkpoint. Weights stay where they are: they are read when a graph runs or is written.
 *
 * @param folder with `config.json` and `model.safetensors`, or its shards and their index
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for an architecture, or a value in config.json, that is not known; `FILE_INVALID`
 *   for tensors that are missing, superfluous or of another shape, and for pickles; `FILE_NOT_FOUND`; `CONFIG_INVALID`
 */
export async function buildGraphs(folder: string, options: BuildOptions = {}): Promise<BuiltGraphs> {
  const { opset = OLDEST_OPSET, form = 'plain', ignore = [], families = [] } = options;
  if (!Number.isInteger(opset) || opset < OLDEST_OPSET || opset > NEWEST_OPSET) {
    const message = `A graph is built in opset ${OLDEST_OPSET} to ${NEWEST_OPSET}, not in ${opset}. Leave the opset out.`;
    throw new OnnxLoraError('CONFIG_INVALID', message);
  }
  if (!forms.includes(form)) {
    const message = `The form of a graph is ${forms.join(' or ')}, not ${JSON.stringify(form)}. Leave it out for plain.`;
    throw new OnnxLoraError('CONFIG_INVALID', message);
  }
  if (options.names !== undefined && options.names !== 4 && options.names !== 5) {
    const message = `names is 4 or 5, the version of transformers whose names modules get, not ${String(options.names)}. Leave it out for the version in config.json.`;
    throw new OnnxLoraError('CONFIG_INVALID', message);
  }
  const checkpoint = await openCheckpoint(folder);
  const file = path.join(folder, 'config.json');
  const config = new Config(checkpoint.config, file);
  const architecture = architectureOf(checkpoint, file, options.architectures ?? []);
  const name = classOf(checkpoint, file, architecture, options.architecture);
  const { prefix, others } = architecture;
  const family = families.find((each) => each.matches({ config: checkpoint.config, modulePaths: [] }));
  const names = new ModuleNames(name, family, options.names ?? writtenBy(checkpoint.config) ?? 4);
  const weights = new Weights(checkpoint, { ...(prefix === undefined ? {} : { prefix }), names });
  const graphs = emitted(weights, file, () => {
    const definition = architecture.classes[name]!(config, checkpoint);
    return Object.entries(definition).map(([graphName, emit]) => {
      const graph = new Graph(weights, { opset, weights: options.weights ?? 'stored', form, names });
      emit(new Module(graph, ''));
      return [graphName, graph.model(graphName)] as const;
    });
  });
  requireAllRead(config, file, ignore);
  weights.requireComplete();
  const left = weights.leftOver().filter((each) => !ignore.includes(each));
  const unknown = left.filter((each) => !others?.test(each));
  if (unknown.length > 0) {
    throw new OnnxLoraError(
      'FILE_INVALID',
      `The checkpoint "${folder}" holds ${count(unknown.length, 'tensor')} that ${name} does not have: ${listed(unknown)}. The class in config.json may be another than that of the weights. To build without them, name them: --ignore ${unknown[0]}.`,
    );
  }
  return { architecture: name, graphs: new Map(graphs), leftOut: left, config: config.taken() };
}

/** What `emit` gives. Sizes of a config that do not go together end in an error of the language, if not in a shape of a tensor. */
function emitted<T>(weights: Weights, file: string, emit: () => T): T {
  try {
    return emit();
  } catch (cause) {
    if (!(cause instanceof RangeError || cause instanceof TypeError)) throw cause;
    weights.requireComplete();
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `The sizes in "${file}" do not go together: ${cause.message}. Use the config.json that the weights were saved with.`,
      { cause },
    );
  }
}

function architectureOf({ config }: Checkpoint, file: string, own: readonly Architecture[]): Architecture {
  const type = config['model_type'];
  const all = [...own, ...known];
  const found = all.find(({ modelType }) => modelType === type);
  if (found) return found;
  const names = [...new Set(all.map(({ modelType }) => modelType))];
  const said = typeof type === 'string' ? type : undefined;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${file}" says "model_type": ${JSON.stringify(type ?? null)}, and no such architecture can be built.${said === undefined ? '' : didYouMean(said, names)} Known are ${names.join(', ')}. Export the model with torch, for example with optimum-cli export onnx, or write the architecture as a plugin.`,
  );
}

function classOf(
  { config }: Checkpoint,
  file: string,
  { classes, modelType }: Architecture,
  given: string | undefined,
): string {
  const names = Object.keys(classes);
  const said: unknown = config['architectures'];
  const asked: unknown = given ?? (Array.isArray(said) ? said[0] : undefined);
  if (asked === undefined || asked === null) return names[0]!;
  const found = names.find((name) => typeof asked === 'string' && name.toLowerCase() === asked.toLowerCase());
  if (found !== undefined) return found;
  const source =
    given === undefined ? `"${file}" says "architectures": ${JSON.stringify(said)}` : `"${given}" is asked for`;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `${source}, and of ${modelType} can be built ${names.join(', ')}. Name one of these (--class ${names[0]}), or export the model with torch.`,
  );
}

/** What config.json asks for and no graph has is never passed over in silence. */
function requireAllRead(config: Config, file: string, ignore: readonly string[]): void {
  const unread = config.unread().filter((name) => !ignore.includes(name));
  if (unread.length === 0) return;
  const said = unread.map((name) => `"${name}": ${config.shown(name)}`);
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${file}" asks for ${listed(said)}, which is not known here, and might change what the model computes. If it does not, build without it: --ignore ${unread[0]}.`,
  );
}
