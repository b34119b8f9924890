"""How much is pre-training worth when labels are few? Fine-tune the shipped encoder, and its twin from scratch, with a tenth, a quarter, half and all of the labels.

usage: python tools/study_labels.py MODEL [--tasks minisounds minisounds_family] [--shares .1 .25 .5 1] [--seeds 3] [--out nbs/results/tiny_labels.json]

Both learn with the same number of steps and the vectors of all blocks from the same sounds (split train and valid; each class keeps at least one) and are tested on the split test. For each of the two, and each share, the
learning rate is the one of `RATES` that does best on a quarter of those labels held back, by source, in the first run; test sounds choose nothing. Finished runs are kept and not made again.
"""
import argparse, json, sys, time
from pathlib import Path
import numpy as np, torch
import pytorch_lightning as pl
from torch.utils.data import DataLoader, Dataset
from audiossl.checkpoint import create_model
from audiossl.cli import quiet
from audiossl.datasets.minisounds import task
from audiossl.downstream.finetune import Classifier, ClipFeatures, FineTuner, predict_split
from audiossl.downstream.metrics import accuracy, mean_average_precision
from audiossl.lightning.datamodules import collate_padded
from audiossl.transforms.logmel import LogMel
from judging import facts

FILE = Path(__file__).resolve().parent.parent/'nbs/results/tiny_labels.json'
STEPS,BATCH,RATES = 200, 32, (.03,.1)                 # rates for a batch of `BATCH`, plain SGD with momentum

class Clips(Dataset):
    "Log-mels that were made once, with their labels"
    def __init__(self, mels, labels): self.mels,self.labels = mels, labels
    def __len__(self): return len(self.mels)
    def __getitem__(self, i): return (self.mels[i], self.mels[i].shape[-1]), torch.as_tensor(self.labels[i])

def some(y, share, rng):
    "Indices of a share of the clips, class by class, one at least; smaller shares lie in larger ones"
    key = y if y.ndim==1 else y.argmax(1); order = rng.permutation(len(y)); res = []
    for c in np.unique(key):
        mine = order[key[order]==c]; res += list(mine[:max(1, round(share*len(mine)))])
    return np.sort(res)

def tune(encoder, mels, y, train, test, rate, decay, multi, seed, classes):
    "(logits on test, labels)"
    per = len(train)//BATCH+1; epochs = max(2, round(STEPS/per))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed); net = Classifier(ClipFeatures(encoder, encoder.config['depth']), classes)
    module = FineTuner(net, multi_label=multi, lr=rate, epochs=epochs, steps=per, warmup_epochs=max(1, epochs//10), layer_decay=decay)
    at = lambda i: Clips([mels[k] for k in i], y[i])
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed)
        pl.Trainer(max_epochs=epochs, accelerator='cpu', logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0).fit(
            module, DataLoader(at(train), BATCH, shuffle=True, collate_fn=collate_padded, generator=torch.Generator().manual_seed(seed)))
    return predict_split(module, DataLoader(at(test), 64, collate_fn=collate_padded))

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('model'); ap.add_argument('--tasks', nargs='+', default=['minisounds','minisounds_family'])
    ap.add_argument('--shares', nargs='+', type=float, default=[.1,.25,.5,1.]); ap.add_argument('--seeds', type=int, default=3); ap.add_argument('--out', type=Path, default=FILE)
    a = ap.parse_args()
    rows = json.loads(a.out.read_text()) if a.out.is_file() else []
    for name in a.tasks:
        t = task(name); y,multi = t.labels, t.multi_label; fit,test = t.holdout(); front = LogMel()
        mels = [front(w)[None] for w in t.waves()]
        better = mean_average_precision if multi else accuracy
        for share in a.shares:
            for who in ('pre-trained','from scratch'):
                decay = .5 if who=='pre-trained' else 1.
                def encoder(seed):
                    if who=='pre-trained': return create_model(a.model, pretrained=True)
                    with torch.random.fork_rng(devices=[]): torch.manual_seed(1000+seed); return create_model(a.model)
                best = None
                for seed in range(a.seeds):
                    if any((r['model'],r['task'],r['share'],r['who'],r['seed'])==(a.model,name,share,who,seed) for r in rows):
                        best = next(r['rate'] for r in rows if (r['model'],r['task'],r['share'],r['who'])==(a.model,name,share,who)); continue
                    cpu = time.process_time()
                    chosen = fit[some(y[fit], share, np.random.default_rng(seed))]
                    if best is None:
                        sources = np.random.default_rng(0).permutation(np.unique(t.groups[chosen])); held = np.isin(t.groups[chosen], sources[:max(1, len(sources)//4)])
                        tried = {r: better(*tune(encoder(seed), mels, y, chosen[~held], chosen[held], r, decay, multi, seed, len(t.classes))) for r in RATES}
                        best = max(tried, key=tried.get)
                    logits,truth = tune(encoder(seed), mels, y, chosen, test, best, decay, multi, seed, len(t.classes))
                    row = dict(model=a.model, task=name, share=share, who=who, seed=seed, labels=len(chosen), rate=best, tried={str(k): float(v) for k,v in tried.items()}, score=float(better(logits, truth)),
                               right=None if multi else ''.join('01'[int(o)] for o in logits.argmax(1)==truth), cpu_seconds=round(time.process_time()-cpu), **facts('study_labels'))
                    rows.append(row); a.out.write_text(json.dumps(rows, indent=1)+'\n')
                    print(name, share, who, seed, f'{len(chosen)} labels, rate {best:g}: {row["score"]:.3f}', f'{row["cpu_seconds"]} s', file=sys.stderr, flush=True)

if __name__=='__main__': main()
