"Every solution passes, every slip is refused with its hint, right answers in other forms pass, hostile ones cost a line"
import csv, inspect, json, math, posixpath, re, signal, sys
from collections import Counter, deque
from pathlib import Path
import numpy as np, pytest, torch
import torch.nn.functional as F
from audiossl.exercises import WrongAnswer, check, get_exercise, list_exercises, solution
from scipy import ndimage, optimize
from sklearn.metrics import average_precision_score
import audiossl.practice
from support import ROOT

audiossl.practice.check                                                              # loads the questions
ALL = [o for o in list_exercises() if o.solution.__module__.startswith('audiossl.practice.')]
ids = dict(ids=lambda o: getattr(o, 'name', None))
SCOPE = dict(np=np, torch=torch, F=F, math=math, signal=signal, csv=csv, posixpath=posixpath, Counter=Counter, ndimage=ndimage)     # what the pages import
GENERIC = ('Try it by hand', 'It gives the same', 'Everywhere', 'It stops', 'A function is asked', 'Right, with')

@pytest.mark.parametrize('ex', ALL, **ids)
def test_the_solution_shown_is_right(ex):
    "as it is shown: the text alone, with the imports of its page"
    scope = dict(SCOPE)
    exec(solution(ex.name).source, scope)
    name = next(o for o in scope if not o.startswith("__") and o not in SCOPE)
    for seed in range(5): assert check(ex.name, scope[name], seed=seed), check(ex.name, scope[name], seed=seed)

@pytest.mark.parametrize('ex', ALL, **ids)
def test_a_blank_is_no_answer(ex):
    n = len(inspect.signature(ex.solution).parameters)
    for o in (None, ..., eval(f'lambda {", ".join("abcdef"[:n])}: None'), eval(f'lambda {", ".join("abcdef"[:n])}: ...')):
        v = check(ex.name, o)
        assert v.status=='blank' and not v and 'not answered yet' in repr(v)

@pytest.mark.parametrize('ex', ALL, **ids)
def test_slips_get_their_hints(ex):
    assert len(ex.slips)>=2
    hints = set()
    for f,hint in ex.slips:
        for seed in range(3):
            v = check(ex.name, f, seed=seed)
            assert v.status=='wrong' and v.known and (v.hint==hint or ex.judge) and len(v.hint)>15 and not v.hint.startswith(GENERIC), (v, hint)
        hints.add(re.sub(r'[\d.]+', '', v.hint))
    assert len(hints)==len(ex.slips), 'two slips get one hint'

@pytest.mark.parametrize('ex', ALL, **ids)
def test_hostile_answers_cost_one_line(ex):
    class Odd:
        def __repr__(self): raise RuntimeError('no')
        __str__ = __iter__ = __array__ = __len__ = __float__ = __eq__ = __repr__
    def loud(*a):
        print('x'*999)
        raise ValueError('two\nlines of <b>html</b>')
    for f in (loud, lambda *a: sys.exit(3), lambda *a: Odd(), lambda *a: object, lambda *a: {'a': [object()]}, lambda *a: 'text', lambda *a: float('nan'),
              lambda *a: [], lambda: 1, 7, 'text', Odd(), lambda *a: torch.zeros(3, 3, 3), lambda *a: 1j, lambda *a: [[1], [1, 2]]):
        v = check(ex.name, f); t = repr(v)
        assert v.status=='wrong' and '\n' not in t and len(t)<500 and ' at 0x' not in t, t
        assert '<b>html' not in v._repr_html_()

@pytest.mark.parametrize('f', [lambda n: [print('x'*1000) for _ in iter(int, 1)], lambda n: next(0 for _ in iter(int, 1) if _), lambda n: (0 for _ in iter(int, 1))])
def test_what_does_not_end_is_ended(f, monkeypatch, capsys):
    from audiossl.exercises import get_exercise
    monkeypatch.setattr(get_exercise('tokens'), 'seconds', .5)
    v = check('tokens', f)
    assert v.status=='wrong' and '\n' not in repr(v) and capsys.readouterr().out==''

def test_an_exception_only_when_asked():
    with pytest.raises(WrongAnswer, match='frame on sample 0'): check('tokens', lambda n: n//160//4, raises=True)
    with pytest.raises(ValueError, match="'tokens'"): check('token', None)
    assert check('tokens', lambda n: (n+160)//640, raises=True)

def test_inputs_are_safe():
    "an answer that writes into what it is given spoils nothing"
    def f(power): power.clamp_(min=1e-10).log10_().mul_(10); return torch.maximum(power, power.amax((1,2), keepdim=True)-80)
    assert check('floored', f)

FORMS = dict(
    sixteen_bits=[lambda wave: [int(max(-32768, min(32767, o*32768))) for o in wave], lambda wave: torch.as_tensor(wave*32767).round().clamp(-32767, 32767).short()],
    outline=[lambda wave, n: [[min(o) for o in np.split(wave, n)], [max(o) for o in np.split(wave, n)]], lambda wave, n: np.stack([wave.reshape(n, -1).min(1), wave.reshape(n, -1).max(1)])],
    ending=[lambda code: ('ok', {6:'SIGABRT', 9:'SIGKILL', 11:'SIGSEGV', 24:'SIGXCPU'}.get(-code, 'error'))[code!=0]],
    gain=[lambda e, b, snr: math.sqrt(10**(snr/10)*(b*b).mean()/(e*e).mean())],
    tokens=[lambda n: float((n+160)//640), lambda n: torch.tensor([(1+n//160)//4]), lambda n: len(range(0, n+1, 160))//4, lambda n: str((n+160)//640)],
    floored=[lambda power: torch.stack([torch.maximum(d, d.max()-80) for d in 10*power.clamp(min=1e-10).log10()]), lambda power: np.maximum(d := 10*np.log10(np.maximum(power.numpy(), 1e-10)), d.max((1,2), keepdims=True)-80).tolist()],
    crop_start=[lambda n, size, rng: int(rng.random()*(n-size+1)), lambda n, size, rng: torch.tensor([rng.integers(0, n-size, endpoint=True)])],
    pad_value=[lambda db, low, high: torch.tensor((db-(low+high)/2)/((high-low)/2))],
    segment=[lambda line: (lambda r: [r[0], int(float(r[1])), r[2], tuple(r[3].split(','))])(next(csv.reader([line], skipinitialspace=True)))],
    label_rows=[lambda labels, C: torch.stack([F.one_hot(torch.tensor(l, dtype=torch.long), C).sum(0).clamp(max=1) for l in labels]), lambda labels, C: [[c in l for c in range(C)] for l in labels]],
    event_frames=[lambda onset, offset, T: [k*.04<offset-1e-9 and (k+1)*.04>onset+1e-9 for k in range(T)]],
    folds=[lambda groups, k: np.array([sorted(set(groups)).index(g)%k for g in groups])],
    parts=[lambda fold, k: [fold, 1 if fold==k else fold+1, {o for o in range(1, k+1)}-{fold, 1 if fold==k else fold+1}]],
    batch=[lambda seed, step, n, size: np.concatenate([np.random.default_rng((seed, 7, e)).permutation(n) for e in range((step+1)*size//n+1)])[step*size:(step+1)*size]],
    shards=[lambda keys, size: tuple(map(tuple, (sorted(keys)[i*size:(i+1)*size] for i in range(-(-len(keys)//size)))))],
    account=[lambda log: np.array([[list(dict(log).values()).count(o)] for o in ('written','skipped','left')])],
    hidden_share=[lambda n, places, span: np.float32(1-np.prod([(places-n-i)/(places-i) for i in range(span)]))],
    mixed_label=[lambda a, b, share, C: share*F.one_hot(torch.tensor(a), C)+(1-share)*F.one_hot(torch.tensor(b), C)],
    cut_tokens=[lambda x, w: [x[:,i:i+w].flatten().tolist() for i in range(0, x.shape[1]-w+1, w)], lambda x, w: x.unfold(1, w, w).transpose(0, 1).flatten(1).numpy()],
    mean_tokens=[lambda x, length: [x[i,:n].mean(0) for i,n in enumerate(length.tolist())]],
    asked=[lambda x, mask, length: torch.cat([x[i,:n][mask[i,:n]] for i,n in enumerate(length.tolist())]), lambda x, mask, length: [x[i,j].tolist() for i in range(3) for j in range(int(length[i])) if mask[i,j]]],
    joined=[lambda n1, m1, v1, n2, m2, v2: torch.tensor([(n1*m1+n2*m2)/(n1+n2), (n1*v1+n2*v2)/(n1+n2)+n1*n2*(m1-m2)**2/(n1+n2)**2])],
    teacher_encoder=[lambda state: {k[len('model.teacher.encoder.'):]: torch.tensor(v, dtype=torch.float64) for k,v in state.items() if k.startswith('model.teacher.encoder.')}],
    chunks=[lambda n, size: torch.tensor([min(n, size)]+[size]*(n//size-1)+[n%size]*(n>size and n%size>size//2))],
    clip_scores=[lambda p, a: np.average(p.numpy(), axis=0, weights=a.softmax(-1).numpy())],
    padded=[lambda ps: [torch.nn.utils.rnn.pad_sequence([p.T for p in ps], batch_first=True).mT, [p.shape[1] for p in ps]]],
    numbers=[lambda start, total, rank, world: (i*world+rank for i in range(start, total)), lambda start, total, rank, world: np.arange(total*world).reshape(total, world)[start:,rank]],
    byol=[lambda t, s: 2-2*F.cosine_similarity(t.detach(), s).mean(), lambda t, s: ((F.normalize(t).detach()-F.normalize(s))**2).sum(-1).mean()[None]],
    followed=[lambda t, s, m, k: m**k*t+(1-m**k)*s, lambda t, s, m, k: [t := m*t+(1-m)*s for _ in range(k)][-1]],
    spread=[lambda y: float(np.std(y.numpy()/np.linalg.norm(y.numpy(), axis=1, keepdims=True), axis=0).mean())],
    rate=[lambda i, base, final, steps, warmup: np.concatenate([np.linspace(0, base, warmup), final+(base-final)*np.cos(np.pi/2*np.arange(steps-warmup)/(steps-warmup))**2])[i]],
    mean_loss=[lambda losses, rows: np.average(losses, weights=rows), lambda losses, rows: [torch.tensor(losses)@torch.tensor(rows).float()/sum(rows)]],
    restored=[lambda rows, order: rows[np.argsort(order)], lambda rows, order: [rows[order.index(i)].tolist() for i in range(len(order))]],
    token_ms=[lambda k: np.mean([10*(4*k+i) for i in range(4)]), lambda k: f'{40*k+15}.0'],
    peaks=[lambda lr, batch, gpus, mine: torch.tensor([batch*gpus, mine])*lr/256],
    average_precision=[lambda scores, true: average_precision_score(true, scores)],
    mean_ap=[lambda ap, labels: np.nanmean(np.where(labels.sum(0)>0, ap, np.nan)), lambda ap, labels: torch.tensor([a for a,y in zip(ap, labels.T) if 1 in y]).mean()],
    standard_error=[lambda right, groups: np.std([np.mean([r for r,g in zip(right, groups) if g==o]) for o in set(groups)])/math.sqrt(20)],
    standardised=[lambda train, test: torch.tensor(test-train.mean(0))/torch.tensor(train).std(0), lambda train, test: ((test-np.mean(train, 0))/(1e-6+np.std(train, axis=0, ddof=1))).tolist()],
    block_rate=[lambda k, depth, decay: np.cumprod([decay]*depth)[depth-1-k], lambda k, depth, decay: math.exp((depth-k)*math.log(decay))],
    distilled=[lambda s, t, y, lam: F.cross_entropy(s, lam*t.softmax(1)+(1-lam)*F.one_hot(y, 4)).item(), lambda s, t, y, lam: -(s.log_softmax(1).numpy()*(lam*t.softmax(1)+(1-lam)*F.one_hot(y, 4)).numpy()).sum()/6],
    smoothed=[lambda x, w: ndimage.median_filter(x, w), lambda x, w: [float(np.median([x[min(max(j, -1-j), 2*len(x)-1-j)] for j in range(i-w//2, i+w//2+1)])) for i in range(len(x))]],
    events=[lambda x, th: np.round(.04*np.flatnonzero(np.diff(np.r_[False, x>th, False])).reshape(-1, 2), 4), lambda x, th: [[.04*a, .04*b] for a in range(len(x)) for b in range(a+1, len(x)+1) if all(x[a:b]>th) and (not a or x[a-1]<=th) and (b==len(x) or x[b]<=th)]],
    hits=[lambda true, found: (lambda m: int(m[optimize.linear_sum_assignment(-m)].sum()))(np.array([[abs(t[0]-f[0])<=.2 and abs(t[1]-f[1])<=.2 for f in found] for t in true]).astype(int))],
    batch_loss=[lambda f, c, k, w: torch.tensor(f)[[o=='strong' for o in k]].mean()+w*torch.tensor(c)[[o=='weak' for o in k]].mean()],
    periods=[lambda low, high, T, t: t*(low+(low+(high-low)*t/T))/2, lambda low, high, T, t: np.mean(low+(high-low)*(np.arange(20_000)+.5)/20_000*t/T)*t],
    left_after=[lambda t, t60: torch.tensor(.001)**(t/t60), lambda t, t60: math.exp(-6.907755*t/t60)],
    leads_out=[lambda folder, name: not (Path('/x')/posixpath.relpath(posixpath.join(folder, name), folder)).parts[2:3]!=('..',), lambda folder, name: int(posixpath.commonpath([folder, posixpath.normpath(posixpath.join(folder, name))])!=folder)],
    unfinished=[lambda plan, journal, files: sorted(set(plan)-(set(journal)&set(files)))],
    draw_shares=[lambda labels: torch.softmax(torch.tensor([sum(1/sum(c in o for o in labels) for c in l) for l in labels]).log(), 0), lambda labels: (w := np.array([sum(1000/(sum(c in o for o in labels)+.01) for c in l) for l in labels]))/w.sum()],
    memory=[lambda size: (lambda bank: lambda x: ((x+bank[0])/2 if bank else x, bank.append(x))[0])(deque(maxlen=size))],
    with_background=[lambda x, z, a: torch.logaddexp(x+math.log(1-a), z+math.log(a)), lambda x, z, a: np.round(np.log((1-a)*np.exp(x.numpy())+a*np.exp(z.numpy())), 4)[None]],
)
@pytest.mark.parametrize('name', FORMS)
def test_right_in_another_form(name):
    for f in FORMS[name]: assert check(name, f), check(name, f)

def test_every_question_was_tried_in_another_form(): assert {o.name for o in ALL}==FORMS.keys()

def test_rounding_decides_no_answer():
    "`hits`: both ends at most 0.2 s apart is the same question with <, with <=, and with a little slack"
    ex = get_exercise('hits')
    for seed in range(200):
        true,found = ex.draw(np.random.default_rng(seed))
        assert all(abs(abs(t[k]-f[k])-.2)>1e-3 for t in true for f in found for k in (0,1))

def cells(nb): return json.loads((ROOT/f'nbs/{nb}.ipynb').read_text(encoding='utf-8'))['cells']
def place(name):
    "Page and anchor of a question"
    for p in sorted((ROOT/'nbs').glob('8?_practice_*.ipynb')):
        head = ''
        for c in cells(p.stem):
            s = ''.join(c['source'])
            if c['cell_type']=='markdown': head = (re.findall(r'^## (.*)$', s, re.M) or [head])[-1]
            elif re.search(rf"^check\('{name}'", s, re.M): return f'{p.name}#'+re.sub(r'[^\w\s-]', '', head.lower()).strip().replace(' ', '-')

@pytest.mark.parametrize('ex', ALL, **ids)
def test_chapters_lead_to_their_questions_and_back(ex):
    page = place(ex.name); assert page, f'{ex.name} is asked on no page'
    asked = '\n'.join(''.join(c['source']) for c in cells(page.split('.')[0]) if c['cell_type']=='markdown')
    for chapter in ex.chapters:
        last = [c for c in cells(chapter) if c['cell_type']=='markdown'][-1]
        assert f']({page})' in ''.join(last['source']), f'{chapter} does not lead to {page}'
    assert f'({ex.chapters[0]}.ipynb)' in asked, f'{page} does not lead back to {ex.chapters[0]}'

@pytest.mark.parametrize('page', sorted(o.stem for o in (ROOT/'nbs').glob('8?_practice_*.ipynb')))
def test_pages_hold_no_answers(page):
    "every cell to fill in is blank, and says so; every solution is there, folded"
    asked = [c for c in cells(page) if re.search(r"^check\('", ''.join(c['source']), re.M)]
    assert len(asked)>=7
    for c in asked: assert '\n    ...\n' in ''.join(c['source']) and 'not answered yet' in ''.join(c['outputs'][0]['data']['text/plain'])
    folded = [c for c in cells(page) if re.match(r"solution\('", ''.join(c['source']))]
    assert len(folded)==len(asked)
    for c in folded: assert solution(''.join(c['source'])[10:-2])._repr_html_()==''.join(c['outputs'][0]['data']['text/html'])

def test_the_package_answers_its_own_questions():
    "what a chapter teaches is what its question takes for right"
    from audiossl.audio import to_int16
    from audiossl.datasets.minisounds import group_folds
    from audiossl.datasets.registry import encode_labels
    from audiossl.datasets.samplers import balanced_weights
    from audiossl.downstream import metrics
    from audiossl.downstream.decoding import decode, median_filter
    from audiossl.downstream.probe import Standardiser
    from audiossl.lightning.datamodules import StepSampler, collate_padded
    from audiossl.methods import schedule, teacher
    from audiossl.models.clip import masked_mean
    from audiossl.models.transformer import patchify
    from audiossl.recipes import layer_rate
    from audiossl.transforms import label_mix, logmel
    from audiossl.transforms.augment import log_mixup_exp
    from audiossl.transforms.crop import RandomCrop
    from audiossl.transforms.frame_labels import ManyHot
    answers = dict(
        sixteen_bits=lambda wave: to_int16(torch.from_numpy(wave)), tokens=lambda n: logmel.num_tokens(logmel.num_frames(n)), floored=logmel.decibel,
        crop_start=lambda n, size, rng: RandomCrop(size).draw(n, rng)['start'], pad_value=lambda db, low, high: logmel.MinMax(low, high)(torch.tensor(db)),
        with_background=lambda x, z, a: log_mixup_exp(x, z, 1-a), folds=lambda groups, k: group_folds([0]*len(groups), groups, k)-1,
        event_frames=lambda a, b, T: ManyHot(['x'], T*.04).encode_strong([('x', a, b)])[:,0], draw_shares=lambda labels: (w := balanced_weights(labels, 3))/w.sum(),
        label_rows=lambda labels, C: [encode_labels(l, C, True) for l in labels], mixed_label=lambda a, b, share, C: share*label_mix.one_hot(a, C)+(1-share)*label_mix.one_hot(b, C),
        cut_tokens=lambda x, w: patchify(x[None,None], len(x), w), mean_tokens=masked_mean, numbers=lambda *a: list(StepSampler(*a)),
        padded=lambda ps: collate_padded([(p, 0) for p in ps])[0], byol=teacher.byol_loss, spread=teacher.output_std,
        rate=lambda i, *a: schedule.cosine_schedule(*a)[i], peaks=lambda lr, b, g, mine: (schedule.scaled_lr(lr, b, g), schedule.scaled_lr(lr, mine)),
        average_precision=metrics.average_precision, standardised=lambda train, test: Standardiser(train)(test), block_rate=lambda k, depth, decay: layer_rate(f'blocks.{k}.w', decay, depth),
        smoothed=median_filter, events=lambda x, th: [e[1:] for e in decode(x[:,None], ['x'], th)], standard_error=lambda r, g: metrics.bootstrap_se(r.astype(float), g))
    wrong = {k: str(v) for k,f in answers.items() if not (v := check(k, f))}
    assert wrong=={}, wrong
