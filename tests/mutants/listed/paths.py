"""Paths, predictions, the reverse process and the flow."""

from tests.mutants.mutant import of

MUTANTS = [
    *of(
        "sde/path.py",
        "sde/test_textbook.py sde/test_path.py",
        ("rates", "growth - 2 * f * variance", "growth - f * variance", "g^2 = d variance/dt - 2 f variance"),
        ("rates-sign", "growth - 2 * f * variance", "growth + 2 * f * variance", "a sign in g^2"),
        (
            "log-snr",
            "self.log_alpha(t) - 0.5 * jnp.log(self.variance(t))",
            "self.log_alpha(t) - jnp.log(self.variance(t))",
            "sigma is the root of the variance",
        ),
        ("bisections", "nmant + 10", "nmant - 3", "times near 0 lose 13 binary digits"),
        ("bisection-end", "(low, jnp.ones_like(low)))[1]", "(low, jnp.ones_like(low)))[0]", "no time at t = 1"),
        (
            "transition",
            "jnp.sqrt(-jnp.expm1(2 * (self.log_snr(t)",
            "jnp.sqrt(-jnp.expm1((self.log_snr(t)",
            "std^2 = sigma_t^2 (1 - exp(2 (lambda_t - lambda_s)))",
        ),
        ("scale", "self.log_alpha(t) - self.log_alpha(s))", "self.log_alpha(t))", "scale is alpha_t / alpha_s"),
        (
            "drift-offset",
            "self.rates(t)[0] * (x - b) + speed",
            "self.rates(t)[0] * x + speed",
            "the drift is about the offset",
            "sde/test_combinators.py",
        ),
        (
            "drift-speed",
            "self.rates(t)[0] * (x - b) + speed",
            "self.rates(t)[0] * (x - b) - speed",
            "the offset moves with its own speed",
            "sde/test_combinators.py",
        ),
        (
            "prior",
            "+ jnp.log(2 * jnp.pi * variance))",
            "+ 0.5 * jnp.log(2 * jnp.pi * variance))",
            "a Gaussian's normaliser",
        ),
    ),
    *of(
        "sde/transformed.py",
        "sde/test_combinators.py",
        (
            "inner-volume",
            "self.path.log_volume(self.bijection.forward(data))",
            "self.path.log_volume(data)",
            "the inner map's volume is taken where the outer one leads",
        ),
        (
            "order",
            "self.bijection.inverse(self.path.to_data(x0))",
            "self.path.to_data(self.bijection.inverse(x0))",
            "inverses in the wrong order",
        ),
    ),
    *of(
        "sde/bijection.py",
        "sde/test_combinators.py",
        ("log", "-jnp.sum(jnp.log(data))", "jnp.sum(jnp.log(data))", "d log x / dx = 1 / x"),
        (
            "logit",
            "jnp.log(self.high - self.low) - jnp.log(data - self.low)",
            "-jnp.log(data - self.low)",
            "the width of the interval counts",
        ),
    ),
    *of(
        "sde/geometric_brownian.py",
        "sde/test_combinators.py",
        ("ito", "growth - 0.5 * jnp.square", "growth + 0.5 * jnp.square", "Ito's correction falls"),
    ),
    *of(
        "sde/shifted.py",
        "sde/test_combinators.py",
        ("prior", "x - self.shift(jnp.ones(()))", "x + self.shift(jnp.ones(()))", "the prior lies at the shift"),
    ),
    *of(
        "sde/centred.py",
        "sde/test_combinators.py sampling/test_restoration.py sde/test_mean_reverting.py",
        ("prior", "self.path.prior_mean() - self.path.offset(1.0)", "self.path.prior_mean()", "b is 0 here"),
    ),
    *of(
        "sde/time_change.py",
        "sde/test_combinators.py",
        ("offset", "self.path.offset(self.clock(t))", "self.path.offset(t)", "the offset has the clock's time"),
    ),
    *of(
        "sde/product.py",
        "sde/test_product.py",
        (
            "one-key",
            "part.path.noise(key, part.shape, dtype) for key, (name",
            "part.path.noise(keys[0], part.shape, dtype) for key, (name",
            "parts of one shape would have the same noise",
        ),
    ),
    *of(
        "sde/discrete.py",
        "sde/test_discrete.py",
        ("monotone", "3 * np.maximum(", "5 * np.maximum(", "slopes above 3 increments overshoot"),
        ("slopes", "(outer[1:] + outer[:-1]) / 2", "(outer[1:] + outer[:-1]) / 3", "the slope is the mean increment"),
        (
            "bend",
            "(1 - w) * (left - rise) - w * (right - rise)",
            "(1 - w) * (left - rise) + w * (right - rise)",
            "sign",
        ),
        ("smld", "jnp.where(i > 0, sigmas[i - 1], 0.0)", "jnp.where(i > 0, sigmas[i], 0.0)", "differences of rows"),
        ("ddpm", "0.5 * jnp.log1p(-beta)", "jnp.log1p(-beta)", "c = sqrt(1 - beta) - 1"),
    ),
    *of(
        "sde/mean_reverting.py",
        "sde/test_mean_reverting.py",
        ("variance", "jnp.expm1(-2 * self.reversion", "jnp.expm1(-self.reversion", "1 - exp(-2 Theta)"),
        ("cosine", "self.s / (1 + self.s) * jnp.pi)", "self.s / (1 + self.s) * jnp.pi / 2)", "twice the first angle"),
    ),
    *of(
        "sde/subvp.py",
        "sde/test_textbook.py",
        ("variance", "jnp.square(super().variance(t))", "super().variance(t)", "the square of VP's variance"),
    ),
    *of(
        "sde/cosine.py",
        "sde/test_schedules.py",
        ("variance", "jnp.sin(turned + 2 * first)", "jnp.sin(turned + first)", "1 - alpha^2"),
    ),
    *of(
        "prediction/tweedie.py",
        "prediction/test_tweedie.py prediction/test_estimates.py",
        ("score", "-self.told(x, t).noise", "self.told(x, t).noise", "the score points against the noise"),
        (
            "offset",
            "(x - sde.offset(t) + sde.variance(t) * s)",
            "(x + sde.variance(t) * s)",
            "Tweedie's formula is about the offset",
        ),
        (
            "error",
            "sigma / jnp.where(small, alpha, 1.0) * (eps - noise)",
            "sigma / jnp.where(small, alpha, 1.0) * (noise - eps)",
            "D - x_0 = (sigma / alpha) (eps - noise)",
        ),
        ("beside", "- sde.alpha(t) * clean) / sde.sigma(t)", "- clean) / sde.sigma(t)", "alpha scales the clean part"),
    ),
    *of(
        "prediction/exact.py",
        "prediction/test_exact.py",
        ("mean", "- alpha * self.mean", "- self.mean", "the mean of x_t is alpha m + b"),
        ("clean", "alpha * self.spectrum * w, jnp.sqrt", "self.spectrum * w, jnp.sqrt", "cov(x_0, x_t) = alpha S"),
        ("factor", "jnp.diag(factor) ** 2", "jnp.diag(factor)", "variances are squares of Cholesky's diagonal"),
    ),
    *of(
        "prediction/parameterization.py",
        "prediction/test_parameterization.py prediction/test_estimates.py",
        ("v", "alpha / r**2, -sigma / r, 1 / r,", "alpha / r**2, sigma / r, 1 / r,", "x0hat = alpha x - sigma v"),
        ("v-noise", "(sigma / r**2, alpha / r)", "(sigma / r**2, -alpha / r)", "eps = sigma x + alpha v"),
        ("velocity", "alpha * growth - stretch * sigma", "alpha * growth + stretch * sigma", "the determinant's sign"),
        ("score", "sde.variance(t) / alpha, one", "sde.sigma(t) / alpha, one", "x0hat = (x + sigma^2 s) / alpha"),
        ("edm", "alpha * (sd / n) ** 2", "alpha * sd / n**2", "c_skip has sd^2"),
    ),
    *of(
        "prediction/label.py",
        "prediction/test_parameterization.py",
        ("noise", "-self.scale * sde.log_snr(t) / 4", "self.scale * sde.log_snr(t) / 4", "log(sigma / alpha)"),
    ),
    *of(
        "prediction/resampled.py",
        "prediction/test_resampled.py",
        ("place", "r * (x - sampled.offset(t))", "r * x", "x is scaled about its offset"),
        ("inverse", "/ jnp.hypot(sampled.alpha(t)", "* jnp.hypot(sampled.alpha(t)", "r = alpha' / alpha"),
    ),
    *of(
        "prediction/histogram.py",
        "prediction/test_histogram.py",
        ("density", "- jnp.sum(jnp.log(alpha))", "+ jnp.sum(jnp.log(alpha))", "x = alpha m + b has a volume"),
        ("tail", "jnp.log1p(-jnp.exp(log_far - log_near))", "jnp.log1p(jnp.exp(log_far - log_near))", "a difference"),
    ),
    *of(
        "reverse.py",
        "test_reverse.py",
        ("churn", "0.5 * churn**2 * sde.rates(t)[1]", "churn**2 * sde.rates(t)[1]", "half g^2 churn^2"),
        ("power", "0.5 * churn**2 * sde.rates(t)[1]", "0.5 * churn * sde.rates(t)[1]", "churn is squared in the drift"),
        ("noise", "return churn * jnp.sqrt(sde.rates(t)[1])", "return churn * sde.rates(t)[1]", "g, not g^2"),
    ),
    *of(
        "ode/methods.py",
        "test_ode.py",
        (
            "tolerances",
            "            tolerance.rtol,\n            tolerance.atol,\n            pcoeff=self.pcoeff,\n"
            "            icoeff=self.icoeff,\n            dcoeff=self.dcoeff,\n            norm",
            "            tolerance.atol,\n            tolerance.rtol,\n            pcoeff=self.pcoeff,\n"
            "            icoeff=self.icoeff,\n            dcoeff=self.dcoeff,\n            norm",
            "rtol and atol exchanged",
        ),
        (
            "tolerances-sde",
            "            tolerance.rtol,\n            tolerance.atol,\n            pcoeff=self.pcoeff,\n"
            "            icoeff=self.icoeff,\n            dcoeff=self.dcoeff,\n            dtmin",
            "            tolerance.atol,\n            tolerance.rtol,\n            pcoeff=self.pcoeff,\n"
            "            icoeff=self.icoeff,\n            dcoeff=self.dcoeff,\n            dtmin",
            "rtol and atol exchanged",
        ),
        ("norm", "jnp.max(jnp.stack([jnp.sqrt", "jnp.mean(jnp.stack([jnp.sqrt", "every part keeps to the tolerance"),
        ("stages", "(1, stages - 1) if", "(1, stages) if", "FSAL saves a stage"),
    ),
    *of(
        "ode/flow.py",
        "test_ode.py",
        ("count", "max(before, given) + each", "each", "the start is evaluated too"),
    ),
]
