/** @file Tables from the names of modules in LoRA files to module paths. Names without dots are looked up, never parsed. */

import { originalNames } from './originalNames.ts';

/** An adaptable layer of a component. */
export interface ComponentModule {
  /** torch's path: `down_blocks.0.attentions.0.proj_in`. */
  readonly path: string;
  /** Shape as in torch: Linear `[out, in]`, Conv `[out, in / groups, ...kernel]`. */
  readonly weightShape: readonly number[];
}

/** A pipeline's network that LoRA files adapt. */
export interface ComponentModules {
  /** Adaptable layers of its graph. */
  readonly modules: readonly ComponentModule[];
  /** Paths that files may name though the graph lacks them, such as the last layers of a text encoder. */
  readonly absent?: readonly string[];
}

/** A pipeline's networks by diffusers' name: `unet` or `transformer`, `text_encoder`, `text_encoder_2` … */
export type Components = Readonly<Record<string, ComponentModules>>;

/** The layer that a name in a file means. */
export interface Target {
  /** The component. */
  readonly component: string;
  /** The layer's path. */
  readonly path: string;
  /** Rows of a fused layer's output that are this layer: from, to, and of how many. */
  readonly rows?: readonly [from: number, to: number, of: number];
  /** The layer's weight shape; undefined if the graph lacks the layer. */
  readonly weightShape?: readonly number[];
}

/** How names are spelled. */
export type Spelling = 'diffusers' | 'kohya' | 'original';

const denoisers: ReadonlySet<string> = new Set(['unet', 'transformer', 'prior', 'decoder']);

/** Prefixes of kohya and LyCORIS, the usual one first. */
function kohyaPrefixes(component: string): readonly string[] {
  if (denoisers.has(component)) return ['lora_unet_', 'lora_transformer_', 'lycoris_'];
  const at = /^text_encoder(?:_(\d+))?$/.exec(component);
  if (!at) return [];
  return at[1] === undefined ? ['lora_te_', 'lora_te1_'] : [`lora_te${at[1]}_`];
}

/** Prefixes of dotted names. */
function dottedPrefixes(component: string): readonly string[] {
  const own = [`${component}.`, `${component}.base_model.model.`];
  return denoisers.has(component)
    ? [...own, 'diffusion_model.', 'model.diffusion_model.', 'base_model.model.', '']
    : own;
}

/** Names of diffusers' oldest files: the attention's processor holds the LoRA of its projections. */
function processorName(path: string): string | undefined {
  const found = /^(.+)\.(to_q|to_k|to_v|add_q_proj|add_k_proj|add_v_proj|to_add_out|to_out(?=\.0$))(?:\.0)?$/.exec(
    path,
  );
  return found ? `${found[1]}.processor.${found[2]}_lora` : undefined;
}

/** Names of the layers of a pipeline, in every spelling. */
export class ModuleNames {
  readonly #targets = new Map<string, readonly Target[]>();
  readonly #ambiguous = new Set<string>();
  readonly #written = new Map<string, string>();

  /** Makes the table of all layers. */
  constructor(components: Components) {
    for (const [component, { modules, absent = [] }] of Object.entries(components)) {
      const layers: readonly (ComponentModule | { readonly path: string; readonly weightShape?: undefined })[] = [
        ...modules,
        ...absent.map((path) => ({ path })),
      ];
      const shapes = new Map(layers.map(({ path, weightShape }) => [path, weightShape]));
      const target = (path: string): Target => {
        const weightShape = shapes.get(path);
        return { component, path, ...(weightShape ? { weightShape } : {}) };
      };
      for (const { path } of layers) {
        const name = { name: path, targets: [target(path)] };
        this.#add(component, name, 'diffusers');
        const processor = processorName(path);
        if (processor !== undefined) this.#set(`${component}.${processor}`, name.targets);
        if (processor !== undefined && denoisers.has(component)) this.#set(processor, name.targets);
      }
      if (!denoisers.has(component)) continue;
      for (const { name, parts } of originalNames(shapes)) {
        const targets = parts.map(({ path, rows }) => ({ ...target(path), ...(rows ? { rows } : {}) }));
        this.#add(component, { name, targets }, 'original');
      }
    }
  }

  #add(
    component: string,
    { name, targets }: { name: string; targets: readonly Target[] },
    spelling: 'diffusers' | 'original',
  ): void {
    const underscored = name.replaceAll('.', '_');
    for (const prefix of kohyaPrefixes(component)) this.#set(`${prefix}${underscored}`, targets);
    for (const prefix of dottedPrefixes(component)) this.#set(`${prefix}${name}`, targets);
    for (const { path } of targets) {
      const [usual] = kohyaPrefixes(component);
      if (spelling === 'original' || !this.#written.has(`original ${component} ${path}`))
        this.#written.set(`original ${component} ${path}`, `${usual ?? ''}${underscored}`);
      if (spelling === 'original') continue;
      this.#written.set(`kohya ${component} ${path}`, `${usual ?? ''}${underscored}`);
      this.#written.set(`diffusers ${component} ${path}`, `${component}.${path}`);
    }
  }

  #set(name: string, targets: readonly Target[]): void {
    const known = this.#targets.get(name);
    const same = (a: readonly Target[]): string => a.map(({ component, path }) => `${component} ${path}`).join();
    if (known && same(known) !== same(targets)) this.#ambiguous.add(name);
    else this.#targets.set(name, targets);
  }

  /** The layers of a file's name; none if no layer is called so. */
  find(name: string): readonly Target[] {
    return this.#ambiguous.has(name) ? [] : (this.#targets.get(name) ?? []);
  }

  /** True if two layers have this name. */
  isAmbiguous(name: string): boolean {
    return this.#ambiguous.has(name);
  }

  /** A layer's name in a file; undefined if the component lacks it. */
  write(spelling: Spelling, component: string, path: string): string | undefined {
    return this.#written.get(`${spelling} ${component} ${path}`);
  }

  /** All names, for suggestions. */
  get names(): Iterable<string> {
    return this.#targets.keys();
  }
}
