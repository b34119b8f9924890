"Every solution passes, every slip is refused with its hint, right answers in other forms pass, hostile ones cost a line"
import inspect, math, re, signal, sys
import numpy as np, pytest, torch
import torch.nn.functional as F
from audiossl.exercises import WrongAnswer, check, list_exercises, solution
import audiossl.practice
from support import ROOT

audiossl.practice.check                                                              # loads the questions
ALL = [o for o in list_exercises() if o.solution.__module__.startswith('audiossl.practice.')]
ids = dict(ids=lambda o: getattr(o, 'name', None))
GENERIC = ('Try it by hand', 'It gives the same', 'Everywhere', 'It stops', 'A function is asked', 'Right, with')

@pytest.mark.parametrize('ex', ALL, **ids)
def test_the_solution_shown_is_right(ex):
    "as it is shown: the text alone, with the imports of its page"
    scope = dict(np=np, torch=torch, F=F, math=math, signal=signal)
    exec(solution(ex.name).source, scope)
    name = next(o for o in scope if not o.startswith('__') and o not in ('np','torch','F','math','signal'))
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
    gain=[lambda e, b, snr: torch.tensor([10**(snr/20)*b.std()/e.std()]) if False else math.sqrt(10**(snr/10)*(b*b).mean()/(e*e).mean())],
    tokens=[lambda n: float((n+160)//640), lambda n: torch.tensor([(1+n//160)//4]), lambda n: len(range(0, n+1, 160))//4, lambda n: str((n+160)//640)],
    floored=[lambda power: torch.stack([torch.maximum(d, d.max()-80) for d in 10*power.clamp(min=1e-10).log10()]), lambda power: np.maximum(d := 10*np.log10(np.maximum(power.numpy(), 1e-10)), d.max((1,2), keepdims=True)-80).tolist()],
    crop_start=[lambda n, size, rng: int(rng.random()*(n-size+1)), lambda n, size, rng: torch.tensor([rng.integers(0, n-size, endpoint=True)])],
    pad_value=[lambda db, low, high: torch.tensor((db-(low+high)/2)/((high-low)/2))],
    with_background=[lambda x, z, a: torch.logaddexp(x+math.log(1-a), z+math.log(a)), lambda x, z, a: np.round(np.log((1-a)*np.exp(x.numpy())+a*np.exp(z.numpy())), 4)[None]],
)
@pytest.mark.parametrize('name', FORMS)
def test_right_in_another_form(name):
    for f in FORMS[name]: assert check(name, f), check(name, f)
