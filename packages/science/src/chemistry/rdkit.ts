/** @file Loads RDKit's WebAssembly build once, on first use. */

import type { Log, Mol } from '@rdkit/rdkit';
import { OnnxLoraError } from '@onnx-lora/sdk';

export type { Mol } from '@rdkit/rdkit';

/** RDKit, with molecules that are freed after use. */
export interface Rdkit {
  /** @throws OnnxLoraError `DATA_INVALID` with RDKit's reason, or for a too large molecule; `RUNTIME_FAILED` */
  withMolecule<T>(smiles: string, use: (molecule: Mol) => T): T;
  /** The same for RDKit's JSON. */
  withJson<T>(json: string, use: (molecule: Mol) => T): T;
}

/** The fields read from RDKit's JSON. Missing ones have defaults: carbon, no hydrogens, single bonds. */
export interface JsonFile {
  readonly molecules: readonly [JsonMolecule, ...JsonMolecule[]];
}

/** Atoms and bonds; aromatic bonds are single and double ones. */
export interface JsonMolecule {
  readonly atoms: readonly { readonly impHs?: number; readonly stereo?: string }[];
  readonly bonds?: readonly JsonBond[];
}

/** A bond between two atoms, numbered from 0. */
export interface JsonBond {
  readonly atoms: readonly [number, number];
  readonly bo?: number;
}

/** Atom limit: RDKit's WebAssembly build overruns its small stack at some 600 and corrupts later results. */
const MOST_ATOMS = 500;
/** Upper bound on the characters of such a molecule. */
const MOST_SIGNS = 10_000;
const ATOM = /\[[^\]]{0,99}\]|Br|Cl|[A-Za-z*]/g;

let loaded: Promise<Rdkit> | undefined;

/** Loads RDKit on the first call; later calls share it. */
export function loadRdkit(): Promise<Rdkit> {
  loaded ??= load();
  return loaded;
}

async function load(): Promise<Rdkit> {
  const start = await import('@rdkit/rdkit');
  const library = await start.default.default();
  const log = library.set_log_capture('rdApp.error');
  let isBroken = false;
  const using = <T>(text: string, name: string, use: (molecule: Mol) => T): T => {
    if (isBroken) throw new OnnxLoraError('RUNTIME_FAILED', 'RDKit has failed before. Load it again.');
    try {
      log?.clear_buffer();
      const molecule = library.get_mol(text);
      if (!molecule) throw noMolecule(name, reasonIn(log));
      try {
        return use(molecule);
      } finally {
        molecule.delete();
      }
    } catch (cause) {
      if (cause instanceof OnnxLoraError) throw cause;
      // Its memory may be corrupt: the next caller loads it again.
      isBroken = true;
      loaded = undefined;
      throw new OnnxLoraError(
        'RUNTIME_FAILED',
        `RDKit failed on ${JSON.stringify(name.slice(0, 80))} (${String(cause)}). Leave that molecule out.`,
        { cause },
      );
    }
  };
  return {
    withMolecule: (smiles, use) => {
      // RDKit would read whole files here, and names after a blank.
      if (smiles.length > MOST_SIGNS || (smiles.match(ATOM)?.length ?? 0) > MOST_ATOMS) throw tooLarge(smiles);
      if (!/^[!-z|}~]+$/.test(smiles)) throw noMolecule(smiles, 'it has blanks or signs that SMILES does not know');
      return using(smiles, smiles, use);
    },
    withJson: (json, use) => using(json, 'A changed molecule', use),
  };
}

/** The first logged reason, without the time of day. */
function reasonIn(log: Log | null): string {
  const [first = '', second = ''] = (log?.get_buffer() ?? '')
    .split('\n')
    .map((line) => line.replace(/^\[[\d:]+\] (SMILES Parse Error: )?/, ''));
  const place = /position (\d+)/.exec(second)?.[1];
  if (place !== undefined) return `check for a mistake around position ${place}`;
  return first.replace(/ (while parsing|for input): .*$/, '') || 'it cannot be read';
}

function tooLarge(smiles: string): OnnxLoraError {
  return new OnnxLoraError(
    'DATA_INVALID',
    `${JSON.stringify(smiles.slice(0, 80))} is a molecule of more than ${MOST_ATOMS} atoms, which RDKit's WebAssembly build cannot take. Leave it out (illegal: 'skip').`,
  );
}

function noMolecule(smiles: string, reason: string): OnnxLoraError {
  return new OnnxLoraError(
    'DATA_INVALID',
    `${JSON.stringify(smiles.slice(0, 80))} is not a molecule: ${reason}. Correct the SMILES, or leave it out (illegal: 'skip').`,
  );
}
