/** @file Names of denoisers in their authors' code, which SDXL's and Flux's trainers write, against diffusers'. */

/** A layer under its original name. */
export interface OriginalName {
  /** Dotted: `double_blocks.0.img_attn.qkv`. */
  readonly name: string;
  /** diffusers' layers that it is made of. */
  readonly parts: readonly {
    readonly path: string;
    /** Rows of the output: from, to, and of how many. */
    readonly rows?: readonly [from: number, to: number, of: number];
  }[];
}

/** Weight shapes by path; undefined for layers that the graph lacks. */
type Shapes = ReadonlyMap<string, readonly number[] | undefined>;

/** The original names of a UNet of Stable Diffusion, or of Flux's transformer; none for other networks. */
export function originalNames(shapes: Shapes): OriginalName[] {
  const paths = [...shapes.keys()];
  if (paths.some((path) => path.startsWith('single_transformer_blocks.'))) return fluxNames(shapes);
  const resnets = paths.flatMap((path) => {
    const found = /^down_blocks\.0\.resnets\.(\d+)\./.exec(path);
    return found ? [Number(found[1])] : [];
  });
  if (resnets.length === 0) return [];
  const layers = Math.max(...resnets) + 1;
  return paths.flatMap((path) => {
    const name = unetName(path, layers, shapes);
    return name === undefined ? [] : [{ name, parts: [{ path }] }];
  });
}

/** Layers outside blocks. */
const unetEnds: Readonly<Record<string, string>> = {
  conv_in: 'input_blocks.0.0',
  conv_out: 'out.2',
  conv_norm_out: 'out.0',
  'time_embedding.linear_1': 'time_embed.0',
  'time_embedding.linear_2': 'time_embed.2',
  'add_embedding.linear_1': 'label_emb.0.0',
  'add_embedding.linear_2': 'label_emb.0.2',
};

/** Layers of a residual block. */
const resnetParts: Readonly<Record<string, string>> = {
  norm1: 'in_layers.0',
  conv1: 'in_layers.2',
  time_emb_proj: 'emb_layers.1',
  norm2: 'out_layers.0',
  conv2: 'out_layers.3',
  conv_shortcut: 'skip_connection',
};

/** A UNet's layer as CompVis and Stability AI name it. `layers` is `layers_per_block`. */
function unetName(path: string, layers: number, shapes: Shapes): string | undefined {
  const end = unetEnds[path];
  if (end !== undefined) return end;
  const [block, number, kind, index, ...rest] = path.split('.') as [string, string, string, string, ...string[]];
  const inner = (k: string): string =>
    k === 'resnets' ? (resnetParts[rest.join('.')] ?? rest.join('.')) : rest.join('.');
  if (block === 'mid_block') {
    const [own, at] = [number, Number(kind)];
    const tail = [index, ...rest].join('.');
    return own === 'attentions' ? `middle_block.1.${tail}` : `middle_block.${at * 2}.${resnetParts[tail] ?? tail}`;
  }
  const [i, j] = [Number(number), Number(index)];
  if (block === 'down_blocks') {
    if (kind === 'downsamplers') return `input_blocks.${i * (layers + 1) + layers + 1}.0.op`;
    return `input_blocks.${i * (layers + 1) + j + 1}.${kind === 'attentions' ? 1 : 0}.${inner(kind)}`;
  }
  if (block === 'up_blocks') {
    const hasAttention = [...shapes.keys()].some((each) => each.startsWith(`up_blocks.${number}.attentions.`));
    if (kind === 'upsamplers') return `output_blocks.${i * (layers + 1) + layers}.${hasAttention ? 2 : 1}.conv`;
    return `output_blocks.${i * (layers + 1) + j}.${kind === 'attentions' ? 1 : 0}.${inner(kind)}`;
  }
  return undefined;
}

/** Flux's layers outside blocks. */
const fluxEnds: Readonly<Record<string, string>> = {
  img_in: 'x_embedder',
  txt_in: 'context_embedder',
  'time_in.in_layer': 'time_text_embed.timestep_embedder.linear_1',
  'time_in.out_layer': 'time_text_embed.timestep_embedder.linear_2',
  'vector_in.in_layer': 'time_text_embed.text_embedder.linear_1',
  'vector_in.out_layer': 'time_text_embed.text_embedder.linear_2',
  'guidance_in.in_layer': 'time_text_embed.guidance_embedder.linear_1',
  'guidance_in.out_layer': 'time_text_embed.guidance_embedder.linear_2',
  'final_layer.linear': 'proj_out',
};

/** Layers of a block of both streams; several paths are rows of one layer. */
const doubleBlock: Readonly<Record<string, readonly string[]>> = {
  'img_mod.lin': ['norm1.linear'],
  'txt_mod.lin': ['norm1_context.linear'],
  'img_attn.qkv': ['attn.to_q', 'attn.to_k', 'attn.to_v'],
  'txt_attn.qkv': ['attn.add_q_proj', 'attn.add_k_proj', 'attn.add_v_proj'],
  'img_attn.proj': ['attn.to_out.0'],
  'txt_attn.proj': ['attn.to_add_out'],
  'img_mlp.0': ['ff.net.0.proj'],
  'img_mlp.2': ['ff.net.2'],
  'txt_mlp.0': ['ff_context.net.0.proj'],
  'txt_mlp.2': ['ff_context.net.2'],
};

/** Layers of a block of one stream. */
const singleBlock: Readonly<Record<string, readonly string[]>> = {
  'modulation.lin': ['norm.linear'],
  linear1: ['attn.to_q', 'attn.to_k', 'attn.to_v', 'proj_mlp'],
  linear2: ['proj_out'],
};

function fluxNames(shapes: Shapes): OriginalName[] {
  const blocks = (list: string): Set<string> =>
    new Set([...shapes.keys()].flatMap((path) => (path.startsWith(`${list}.`) ? [path.split('.')[1]!] : [])));
  const inBlocks = (list: string, original: string, table: typeof doubleBlock): [string, readonly string[]][] =>
    [...blocks(list)].flatMap((i) =>
      Object.entries(table).map(([name, own]): [string, readonly string[]] => [
        `${original}.${i}.${name}`,
        own.map((path) => `${list}.${i}.${path}`),
      ]),
    );
  const all: readonly [string, readonly string[]][] = [
    ...Object.entries(fluxEnds).map(([name, path]): [string, readonly string[]] => [name, [path]]),
    ...inBlocks('transformer_blocks', 'double_blocks', doubleBlock),
    ...inBlocks('single_transformer_blocks', 'single_blocks', singleBlock),
  ];
  return all.flatMap(([name, own]) => {
    if (own.some((path) => !shapes.has(path))) return [];
    if (own.length === 1) return [{ name, parts: [{ path: own[0]! }] }];
    const sizes = own.map((path) => shapes.get(path)?.[0]);
    if (sizes.includes(undefined)) return [];
    const of = (sizes as number[]).reduce((sum, size) => sum + size, 0);
    let from = 0;
    const parts = own.map((path, i) => {
      const rows = [from, from + sizes[i]!, of] as const;
      from += sizes[i]!;
      return { path, rows };
    });
    return [{ name, parts }];
  });
}
