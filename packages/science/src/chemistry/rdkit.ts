/** @file RDKit's WebAssembly build, loaded once when a molecule is first looked at. */

import type { Log, Mol } from '@rdkit/rdkit';
import { OnnxLoraError } from '@onnx-lora/sdk';

export type { Mol } from '@rdkit/rdkit';

/** RDKit, with molecules whose memory is freed after use. */
export interface Rdkit {
  /**
   * What `use` finds in the molecule of a SMILES, which must not leave it.
   *
   * @throws OnnxLoraError `DATA_INVALID` where it is no molecule, with RDKit's reason
   */
  withMolecule<T>(smiles: string, use: (molecule: Mol) => T): T;
  /** The same of a molecule in RDKit's JSON. */
  withJson<T>(json: string, use: (molecule: Mol) => T): T;
}

/** One molecule in RDKit's JSON: what is looked at. What is missing is the default: carbon, no hydrogens, single bonds. */
export interface JsonFile {
  readonly molecules: readonly [JsonMolecule, ...JsonMolecule[]];
}

/** The atoms and bonds of a molecule; aromatic ones as single and double bonds. */
export interface JsonMolecule {
  readonly atoms: readonly { readonly impHs?: number; readonly stereo?: string }[];
  readonly bonds?: readonly JsonBond[];
}

/** A bond between atoms, which are numbered from 0. */
export interface JsonBond {
  readonly atoms: readonly [number, number];
  readonly bo?: number;
}

let loaded: Promise<Rdkit> | undefined;

/** Loads RDKit, or gives what was loaded before. */
export function loadRdkit(): Promise<Rdkit> {
  loaded ??= load();
  return loaded;
}

async function load(): Promise<Rdkit> {
  const start = await import('@rdkit/rdkit');
  const library = await start.default.default();
  const log = library.set_log_capture('rdApp.error');
  const using = <T>(text: string, name: string, use: (molecule: Mol) => T): T => {
    log?.clear_buffer();
    const molecule = library.get_mol(text);
    if (!molecule) throw noMolecule(name, reasonIn(log));
    try {
      return use(molecule);
    } finally {
      molecule.delete();
    }
  };
  return {
    withMolecule: (smiles, use) => {
      // RDKit would also take whole files here, and names after a blank.
      if (!/^[!-z|}~]+$/.test(smiles)) throw noMolecule(smiles, 'it has blanks or signs that SMILES does not know');
      return using(smiles, smiles, use);
    },
    withJson: (json, use) => using(json, 'A changed molecule', use),
  };
}

/** The first reason in what RDKit has logged, without the time of day. */
function reasonIn(log: Log | null): string {
  const [first = '', second = ''] = (log?.get_buffer() ?? '')
    .split('\n')
    .map((line) => line.replace(/^\[[\d:]+\] (SMILES Parse Error: )?/, ''));
  const place = /position (\d+)/.exec(second)?.[1];
  if (place !== undefined) return `check for a mistake around position ${place}`;
  return first.replace(/ (while parsing|for input): .*$/, '') || 'it cannot be read';
}

function noMolecule(smiles: string, reason: string): OnnxLoraError {
  return new OnnxLoraError(
    'DATA_INVALID',
    `${JSON.stringify(smiles.slice(0, 80))} is not a molecule: ${reason}. Correct the SMILES, or leave it out (illegal: 'skip').`,
  );
}
